"""Runs whose end is not known: steered as in the middle of a run, and cooled down when asked."""

from __future__ import annotations

import copy
import itertools
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpo_env import Controller
from hpo_env.control.clock import Clock
from hpo_env.control.plan import OpenPlan, Plan, plan_from_json, plan_of
from hpo_env.errors import ConfigurationError, ControllerWarning
from tests.hpo_env.controlled_runs import Training, fixed_policy, random_policy

STILL = fixed_policy(0.0, ["learning_rate"])
DECIDING = random_policy()


def attached(
    policy: Any = STILL, *, total_steps: int | None = None, **options: Any
) -> tuple[Any, Training, Any]:
    training = Training()
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=1e-3, weight_decay=1e-3)
    run = Controller(policy).attach(
        optimizer, total_steps=total_steps, validate=training.validate, **options
    )
    return run, training, optimizer


def course(run: Any) -> list[float]:
    """Return what the policy was told of progress at each decision, from -1 to 1."""
    return [decision.observation["progress"] for decision in run.decisions]


# --------------------------------------------------------------------------------------- the plan


@pytest.mark.parametrize("decisions", [1, 2, 7, 30])
def test_intervals_of_an_open_run_grow_with_it(decisions: int) -> None:
    plan = OpenPlan(num_decisions=decisions)
    ends = [0, *(plan.end(i) for i in range(40))]
    for start, end in itertools.pairwise(ends):
        assert end - start == max(10, int(2 * start / decisions))


@pytest.mark.parametrize("decisions", [1, 2, 7, 30])
@pytest.mark.parametrize("interval", [0, 1, 5, 40])
@pytest.mark.parametrize("num_steps", [1, 3, 100, 5000])
def test_a_cool_down_leads_from_where_the_course_is_to_its_end(
    decisions: int, interval: int, num_steps: int
) -> None:
    plan = OpenPlan(num_decisions=decisions)
    made = plan.end(interval - 1)
    cooled = plan.cooled(num_steps, interval=interval, num_done=made)
    before, after = (p.time(interval)[0] / p.time(interval)[1] for p in (plan, cooled))
    assert after == pytest.approx(min(before, 1.0 - 1.0 / decisions))
    last = cooled.num_intervals
    assert cooled.end(last - 1) == cooled.total_steps == made + num_steps
    done, whole = cooled.time(last)
    assert done == pytest.approx(whole)
    lengths = np.diff([made, *(cooled.end(i) for i in range(interval, last))])
    assert lengths.min() >= 1
    assert lengths.max() - lengths.min() <= 1
    assert len(lengths) <= max(decisions, 1)


@pytest.mark.parametrize(
    "plan",
    [
        plan_of(None, 12),
        plan_of(100, 12),
        OpenPlan(num_decisions=9).cooled(40, interval=3, num_done=30),
    ],
)
def test_the_plain_form_of_a_plan_is_the_same_plan(plan: Any) -> None:
    assert plan_from_json(plan.to_json()) == plan


def test_plans_of_earlier_versions_are_read() -> None:
    data = {"total_steps": 9, "num_intervals": 3, "first_step": 0, "first_interval": 0}
    assert plan_from_json(data) == Plan(total_steps=9, num_intervals=3)


@settings(derandomize=True, max_examples=500, deadline=None)
@given(
    decisions=st.integers(1, 40),
    total=st.none() | st.integers(1, 400),
    acts=st.lists(
        st.tuples(st.sampled_from(["cool", "extend", "shorten"]), st.integers(0, 90)), max_size=6
    ),
)
@example(decisions=2, total=3, acts=[("extend", 1), ("shorten", 0), ("cool", 1)])
def test_whatever_is_done_to_a_plan_its_intervals_lead_to_its_end(
    decisions: int, total: int | None, acts: list[tuple[str, int]]
) -> None:
    plan, interval, made = plan_of(total, decisions), 0, 0
    for act, number in acts:
        for _ in range(number % 7):
            if not plan.is_over(interval):
                assert plan.end(interval) > made
                interval, made = interval + 1, plan.end(interval)
        if act == "cool" and not plan.is_over(interval) and number:
            plan = plan.cooled(number, interval=interval, num_done=made)
            assert plan.total_steps == made + number
        elif act == "extend" and isinstance(plan, Plan):
            plan = plan.extended(plan.total_steps + number, interval=interval)
        elif (
            act == "shorten"
            and made + number
            and isinstance(plan, Plan)
            and made + number < (plan.total_steps)
        ):
            plan = plan.shortened(made + number, interval=interval, start=made, num_steps=made)
        assert plan_from_json(plan.to_json()) == plan
        done, whole = plan.time(interval)
        assert 0.0 <= done <= whole + 1e-9
    while isinstance(plan, Plan) and not plan.is_over(interval):
        before = plan.time(interval)[0] / plan.time(interval)[1]
        interval, made = interval + 1, plan.end(interval)
        assert plan.time(interval)[0] / plan.time(interval)[1] > before
    assert made == (plan.total_steps or made)


@pytest.mark.parametrize("num_done", [4, 5, 8])
def test_a_clock_goes_on_from_its_state_where_a_run_was_extended_and_then_cut(
    num_done: int,
) -> None:
    clock = Clock(9, 2)
    clock.begin_interval()
    clock.num_steps = 4
    clock.end_interval()
    clock.begin_interval()  # of the updates 4 to 9, which no division of 12 tells any more
    clock.num_steps = num_done
    clock.extend(12)
    state = json.loads(json.dumps(clock.state_dict()))
    resumed = Clock(12, 2)
    resumed.load_state_dict(state)
    for each in (clock, resumed):
        assert (each.start, each.end) == (4, 9)
        each.resize(num_done)
        assert each.plan.total_steps == num_done
        assert each.is_over == (num_done == 4)  # without an update it is no interval
    assert resumed.plan == clock.plan


# --------------------------------------------------------------------------------------- the rate


def test_the_rate_stays_on_a_plateau_and_then_goes_down_the_second_half_of_a_cosine() -> None:
    run, training, optimizer = attached(num_decisions=8)
    plateau = training.train(optimizer, run, range(200))
    assert plateau[0] > plateau[-1] > 0.4e-3
    assert len(set(plateau[60:])) == 1
    run.cool_down(50)
    cooling = training.train(optimizer, run, range(200, 250))
    assert run.is_over
    assert plateau[-1] >= cooling[0]
    assert all(a >= b for a, b in itertools.pairwise(cooling))
    assert cooling[-1] < 0.05 * plateau[-1]
    told = course(run)
    assert told == sorted(told)
    assert max(told[:-4]) == pytest.approx(0.0)  # 4 of 8 decisions are left from the middle on
    assert told[-1] == pytest.approx(0.75)


def test_a_run_of_known_length_can_be_ended_earlier_or_later() -> None:
    for rest in (8, 80):
        run, training, optimizer = attached(total_steps=100, num_decisions=10)
        training.train(optimizer, run, range(50))
        run.cool_down(rest)
        rates = training.train(optimizer, run, range(50, 50 + rest))
        assert run.is_over
        assert rates[-1] < 0.1 * 1e-3
        assert course(run) == sorted(course(run))


# --------------------------------------------------------------------------------- what may happen


def test_a_run_that_is_never_cooled_works_and_says_so_at_its_close() -> None:
    run, training, optimizer = attached()
    training.train(optimizer, run, range(95))
    assert not run.is_over
    assert "Decision 1, at step 0" in str(run.explain())
    with pytest.warns(ControllerWarning, match="closed after 95 updates and was never cooled"):
        run.close()
    assert optimizer.param_groups[0]["lr"] == 1e-3


def test_one_that_made_no_update_or_was_cooled_has_nothing_to_say() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run, training, optimizer = attached()
        run.close()
        run, training, optimizer = attached()
        training.train(optimizer, run, range(12))
        run.cool_down(3)
        training.train(optimizer, run, range(12, 15))
        run.close()


@pytest.mark.parametrize("made", [10, 13])  # between two intervals, and within one
def test_a_cool_down_of_no_steps_ends_the_run(made: int) -> None:
    run, training, optimizer = attached()
    rates = training.train(optimizer, run, range(made))
    run.cool_down(0)
    assert run.is_over
    assert run.num_steps == run.plan.total_steps == made
    assert optimizer.param_groups[0]["lr"] == pytest.approx(
        rates[-1], rel=0.2
    )  # nothing is lowered
    with pytest.warns(ControllerWarning, match="after the run's"):
        training.train(optimizer, run, [made])
    with pytest.raises(ConfigurationError, match=r"the run is over: call extend\(total_steps\)"):
        run.cool_down(5)


@pytest.mark.parametrize("steps", [-1, 2.5, None, "3"])
def test_a_cool_down_of_no_number_is_refused(steps: Any) -> None:
    run, training, optimizer = attached()
    training.train(optimizer, run, range(3))
    with pytest.raises(ConfigurationError, match="num_steps"):
        run.cool_down(steps)
    with pytest.warns(ControllerWarning, match="never cooled down"):
        run.close()
    with pytest.raises(ConfigurationError, match="the run is closed and cannot be cooled down"):
        run.cool_down(3)


def test_before_the_first_update_a_cool_down_needs_a_length() -> None:
    run, training, optimizer = attached()
    with pytest.raises(ConfigurationError, match="from 1 on before the first update; got 0"):
        run.cool_down(0)
    run.cool_down(40)  # the whole course in so many updates
    rates = training.train(optimizer, run, range(40))
    assert run.is_over
    assert rates[0] > 0.9e-3 > 0.1e-3 > rates[-1]


def test_a_run_without_an_end_is_not_extended_and_a_cooling_one_is() -> None:
    run, training, optimizer = attached(num_decisions=8)
    training.train(optimizer, run, range(100))
    with pytest.raises(ConfigurationError, match=r"no end that total_steps=500 could be later"):
        run.extend(500)
    run.cool_down(40)
    first = training.train(optimizer, run, range(100, 120))
    run.extend(200)
    rest = training.train(optimizer, run, range(120, 200))
    assert run.is_over
    assert all(a >= b for a, b in itertools.pairwise([*first, *rest]))
    assert rest[-1] < 0.1e-3
    assert course(run) == sorted(course(run))


def test_a_run_that_has_cooled_down_begins_to_do_so_anew() -> None:
    run, training, optimizer = attached(num_decisions=8)
    training.train(optimizer, run, range(100))
    run.cool_down(20)
    end = training.train(optimizer, run, range(100, 120))[-1]
    run.extend(160)
    rates = training.train(optimizer, run, range(120, 160))
    assert run.is_over
    assert rates[0] > 3.0 * end
    assert rates[-1] < 0.1 * rates[0]


Act = Callable[[Any], object]
ACTS: dict[str, list[tuple[int, Act]]] = {
    "open": [],
    "cooling": [(40, lambda run: run.cool_down(30))],
    "cooled at once": [(40, lambda run: run.cool_down(0))],
    "within an interval": [(43, lambda run: run.cool_down(25))],
    "extended while cooling": [
        (40, lambda run: run.cool_down(20)),
        (48, lambda run: run.extend(75)),
    ],
    "extended after": [
        (40, lambda run: run.cool_down(15)),
        (55, lambda run: run.extend(75)),
    ],
    "cooled twice": [(30, lambda run: run.cool_down(40)), (47, lambda run: run.cool_down(11))],
}


@pytest.mark.filterwarnings("ignore:step:hpo_env.errors.ControllerWarning")
@pytest.mark.parametrize("acts", list(ACTS))
def test_a_resumed_run_equals_the_uninterrupted_one_in_each_phase(acts: str) -> None:
    whole = Played(DECIDING, ACTS[acts])
    whole.play(80)
    just_after = [step + late for step in dict(ACTS[acts]) for late in (0, 1)]
    for saved_at in {5, 33, 41, 46, 56, *just_after}:
        part = Played(DECIDING, ACTS[acts])
        part.play(saved_at)
        part.resume()
        part.play(80)
        assert part.rates == whole.rates, saved_at
        assert torch.equal(part.training.weights(), whole.training.weights())
        assert repr(part.run.state_dict()["decider"]) == repr(whole.run.state_dict()["decider"])


@pytest.mark.parametrize("late", [0, 1, 4])
def test_a_run_that_was_extended_within_an_interval_is_saved_with_what_is_in_force(
    late: int,
) -> None:
    acts: list[tuple[int, Act]] = [(22, lambda run: run.extend(90))]
    whole = Played(DECIDING, acts, total_steps=60)
    whole.play(80)
    part = Played(DECIDING, acts, total_steps=60)
    part.play(22 + late)
    rate = part.optimizer.param_groups[0]["lr"]
    part.optimizer.load_state_dict(part.optimizer.state_dict())  # what is in force is written anew
    assert part.optimizer.param_groups[0]["lr"] == rate
    part.resume()
    assert part.optimizer.param_groups[0]["lr"] == rate
    part.play(80)
    assert part.rates == whole.rates


class Played:
    """A run to which something is done after some of its updates."""

    def __init__(
        self, policy: Any, acts: list[tuple[int, Act]], total_steps: int | None = None
    ) -> None:
        self.policy, self.acts, self.total_steps = policy, dict(acts), total_steps
        self.rates: list[float] = []
        self.run, self.training, self.optimizer = attached(policy, total_steps=total_steps)

    def play(self, until: int) -> None:
        while len(self.rates) < until:
            self.rates += self.training.train(self.optimizer, self.run, [len(self.rates)])
            if len(self.rates) in self.acts:
                self.acts[len(self.rates)](self.run)

    def resume(self) -> None:
        """Go on as another process would."""
        state = copy.deepcopy(self.run.state_dict())
        held = copy.deepcopy(self.optimizer.state_dict())
        model = copy.deepcopy(self.training.model.state_dict())
        self.training = Training()
        self.training.model.load_state_dict(model)
        parameters = self.training.model.parameters()
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=1e-3)
        self.optimizer.load_state_dict(held)
        self.run = Controller(self.policy).attach(
            self.optimizer,
            total_steps=self.total_steps,
            validate=self.training.validate,
            state=state,
        )


@pytest.mark.parametrize(("before", "now"), [(None, 50), (50, None)])
def test_a_saved_run_keeps_to_whether_its_end_is_known(before: Any, now: Any) -> None:
    run, training, optimizer = attached(total_steps=before)
    training.train(optimizer, run, range(5))
    with pytest.raises(ConfigurationError, match=f"total_steps={before}, this one {now}"):
        attached(total_steps=now, state=run.state_dict())


def test_a_schedule_of_an_open_run_is_saved(tmp_path: Any) -> None:
    run, training, optimizer = attached()
    training.train(optimizer, run, range(25))
    assert run.save_schedule(tmp_path / "schedule.json").exists()
