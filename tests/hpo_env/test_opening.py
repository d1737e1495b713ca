"""The first move of a run may lead to the learned start; all others are steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hpo_env.control.decider import Decider
from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.errors import HPOControlError
from hpo_env.familiarity import Familiarity
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.policy_file import load, save
from hpo_env.restriction import check_together, restrict
from hpo_env.scope import Scope
from hpo_env.shipped import shipped
from hpo_env.starts import LearnedStart, Problem, StartCase
from hpo_env.steering import Steering
from hpo_env.tasks.reinforcement.starts import LEARNED_START
from hpo_env.telemetry import Telemetry
from hpo_env.vector_env import HPOControlVectorEnv
from tests.hpo_env.controlled_runs import Training, fixed_policy, random_policy

SPACE = HyperparameterSpace(
    [
        Hyperparameter(name="rate", low=1e-6, high=1.0, default=1e-5, max_step=2.0, retreat=-1.0),
        Hyperparameter(name="share", low=-9, high=9, default=0, max_step=0.5, scale="linear"),
    ]
)
GOALS = np.array([[1e-2, 4.0], [1e-2, np.nan]])
LANES = np.array([0, 1])
START = LearnedStart(
    cases=(
        StartCase(kind="deep", values={"learning_rate": 0.08, "weight_decay": 1e-3}),
        StartCase(values={"learning_rate": 0.02, "weight_decay": 1e-3}),
    ),
    is_default=False,
)


def begin(steering: Steering, lanes: np.ndarray, goals: Any = GOALS, available: Any = None) -> None:
    start = Telemetry.missing(len(lanes))
    start.validation_loss[:] = 1.0
    initial = np.tile(SPACE.defaults, (len(lanes), 1))
    count = np.full(len(lanes), 9)
    steering.begin(
        lanes,
        start,
        initial=initial,
        base=initial,
        num_intervals=count,
        available=available,
        goals=goals,
    )


def begun(**options: Any) -> Steering:
    steering = Steering(SPACE, 2)
    begin(steering, LANES, **options)
    return steering


def moved(steering: Steering, move: float, *, losses: tuple[float, float] = (1.0, 1.0)) -> Any:
    """Ask for the same move of all, and return the values after it `[2, 2]`."""
    steering.move(np.full((2, 2), move))
    values = steering.values(steering.initial)
    end = Telemetry.missing(2)
    end.validation_loss[:] = losses
    steering.close_interval(
        end, values=values, base_change=np.zeros(2), roll_back=lambda lanes: True
    )
    return values


@pytest.mark.parametrize(
    ("move", "rate", "share"),
    [(1.0, 1e-2, 4.0), (0.0, 1e-2, 4.0), (-0.5, 1e-5 * 1000**0.5, 2.0), (-1.0, 1e-5, 0.0)],
)
def test_the_first_move_leads_to_the_goal_and_the_others_are_steps(
    move: float, rate: float, share: float
) -> None:
    steering = begun()
    first = moved(steering, move)
    np.testing.assert_allclose(first[0], [rate, share])
    np.testing.assert_allclose(first[1], [rate, 0.5 * move])  # where there is no goal: a step
    np.testing.assert_allclose(moved(steering, 1.0)[0], [2.0 * rate, share + 0.5])
    begin(steering, np.array([1]), GOALS[:1])  # a new run opens anew, and the others go on
    np.testing.assert_allclose(moved(steering, 1.0), [[4.0 * rate, share + 1.0], [1e-2, 4.0]])


def test_moves_that_are_taken_as_they_are_are_shares_of_the_way() -> None:
    steering = begun()
    steering.take(np.array([[0.25, 0.0], [0.0, 0.0]]))
    assert steering.values(steering.initial)[0, 0] == pytest.approx(1e-5 * 1000**0.25)
    np.testing.assert_array_equal(steering.corrections[1], 0.0)  # nobody moved: nothing opens


def test_without_goals_every_move_is_a_step_to_the_last_bit() -> None:
    plain, never = begun(goals=None), begun(goals=np.full((2, 2), np.nan))
    for move in (0.3, -0.7, 0.1):
        np.testing.assert_array_equal(moved(plain, move), moved(never, move))
    assert plain.corrections[0, 0] == sum(m * SPACE.steps[0] for m in (0.3, -0.7, 0.1))


def test_the_move_of_the_guard_is_a_step_and_there_is_no_second_opening() -> None:
    steering = begun()
    moved(steering, 1.0, losses=(9.0, 1.0))
    np.testing.assert_allclose(moved(steering, 1.0), [[5e-3, 4.0], [2e-2, 1.0]])
    np.testing.assert_allclose(moved(steering, 1.0), [[1e-2, 4.5], [4e-2, 1.5]])


def test_what_cannot_be_moved_stays() -> None:
    steering = begun(available=np.array([[True, False], [False, True]]))
    np.testing.assert_allclose(moved(steering, 1.0), [[1e-2, 0.0], [1e-5, 0.5]])


@pytest.mark.parametrize("decisions", range(3))
def test_a_snapshot_goes_on_before_and_after_the_opening(decisions: int) -> None:
    steering, other = begun(), begun(goals=None)
    for _ in range(decisions):
        moved(steering, 0.5)
    other.restore(LANES, steering.snapshot(LANES))
    for _ in range(2):
        np.testing.assert_array_equal(steering.observe(), other.observe())
        np.testing.assert_array_equal(moved(steering, 0.5), moved(other, 0.5))


# ---------------------------------------------------------------------------------- users' own runs


def opening(policy: Policy) -> Policy:
    return replace(policy, learned_start=START, has_opening=True)


def attached(policy: Policy, **options: Any) -> tuple[Training, torch.optim.Optimizer, Run[Any]]:
    training = Training()
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=1e-3, weight_decay=1e-2)
    controller = Controller(policy)
    options = {"total_steps": 24, "num_decisions": 6, "base_schedule": "constant"} | options
    return training, optimizer, controller.attach(optimizer, validate=training.validate, **options)


@pytest.mark.parametrize(("kind", "rate"), [("deep", 0.08), ("flat", 0.02), (None, 0.02)])
def test_a_run_opens_towards_the_start_of_its_kind(kind: str | None, rate: float) -> None:
    policy = opening(fixed_policy(1.0, ("learning_rate", "weight_decay")))
    *_, run = attached(policy, problem=Problem(kind=kind))
    assert run.decisions[0].values == pytest.approx({"learning_rate": rate, "weight_decay": 1e-3})
    assert run.decisions[0].moves == {"learning_rate": 1.0, "weight_decay": 1.0}


def test_a_policy_that_holds_back_stays() -> None:
    *_, run = attached(opening(fixed_policy(-1.0, ("learning_rate", "weight_decay"))))
    assert run.decisions[0].values == {"learning_rate": 1e-3, "weight_decay": 1e-2}
    assert run.decisions[0].moves == {"learning_rate": 0.0, "weight_decay": 0.0}


@pytest.mark.parametrize("start", ["learned", {"learning_rate": 0.02, "weight_decay": 1e-3}])
def test_a_run_that_begins_there_stays_there(start: Any) -> None:
    policy = opening(fixed_policy(1.0, ("learning_rate", "weight_decay")))
    *_, run = attached(policy, start=start)
    assert run.decisions[0].values == pytest.approx({"learning_rate": 0.02, "weight_decay": 1e-3})


def test_a_run_that_is_made_longer_does_not_open_again() -> None:
    policy = opening(fixed_policy(0.25, ("learning_rate", "weight_decay")))
    training, optimizer, run = attached(policy)
    training.train(optimizer, run, range(3))
    run.extend(48)
    training.train(optimizer, run, range(3, 48))
    rates = [decision.values["learning_rate"] for decision in run.decisions]
    np.testing.assert_allclose(rates, 0.02 * np.sqrt(2.0) ** np.arange(len(rates)), rtol=1e-6)


@pytest.mark.parametrize(
    "hold",
    [
        lambda decider: setattr(decider, "is_frozen", True),
        lambda decider: setattr(decider, "is_harmful", True),
        lambda decider: setattr(decider, "knows_kind", False),
    ],
)
def test_a_policy_that_may_not_move_does_not_open(hold: Callable[[Decider], None]) -> None:
    policy = opening(fixed_policy(1.0, ("learning_rate", "weight_decay")))
    own = {"learning_rate": 1e-3, "weight_decay": 1e-2}
    decider = Decider([policy], own, problem=Problem())
    decider.begin(1.0, num_intervals=9, base=np.array([list(own.values())]))
    hold(decider)
    decider.decide()
    assert not decider.steering.corrections.any()


def test_where_nothing_is_familiar_a_run_does_not_open() -> None:
    policy = opening(fixed_policy(1.0, ("learning_rate", "weight_decay")))
    count = len(policy.fields)
    foreign = Familiarity(
        mean=np.full(count, 99.0, np.float32),
        whitening=np.eye(count, dtype=np.float32),
        threshold=1e-9,
    )
    *_, run = attached(replace(policy, familiarity=foreign))
    assert run.decisions[0].values["learning_rate"] == pytest.approx(1e-3, rel=1e-3)


# ------------------------------------------------------------------------ environments and policies


def test_an_environment_opens_towards_the_start_of_each_lanes_kind() -> None:
    options: Any = {"family": "reinforcement", "start": "random", "shape": (2, 8, 1)}
    env = HPOControlVectorEnv(24, opening=LEARNED_START, num_decisions=2, **options)
    env.reset(seed=2)
    *_, info = env.step(np.ones(env.action_space.shape))
    assert len({env.family.problem(task).kind for task in env.tasks}) == 3
    for lane, task in enumerate(env.tasks):
        there = env.family.at_learned_start(task).initial
        has = env.family.has(task)
        for name in env.controlled.names:
            column = env.space.index(name)
            if has[column]:
                value = info["hyperparameters"][name][lane]
                assert value == pytest.approx(there[column], rel=1e-9), (task, name)


def test_a_part_of_a_policy_keeps_the_opening_of_what_it_moves() -> None:
    whole = opening(random_policy(("learning_rate", "momentum", "weight_decay")))
    assert restrict(whole, ["momentum", "learning_rate"]).has_opening
    alone = restrict(whole, ["momentum"])
    assert (alone.has_opening, alone.learned_start) == (False, None)


def test_an_opening_is_written_and_read(tmp_path: Any) -> None:
    assert load(save(opening(random_policy()), tmp_path)).has_opening


@pytest.mark.parametrize("name", sorted(set(shipped()) - {"reinforcement"}))
def test_policies_of_before_there_were_openings_have_none(name: str) -> None:
    assert not load(shipped()[name]).has_opening


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(random_policy(), has_opening=True), "has_opening needs a learned start"),
        (
            lambda: HPOControlVectorEnv(1, family="quadratic", opening=START),
            "unknown hyperparameter 'weight_decay'",
        ),
        (
            lambda: HPOControlVectorEnv(1, family="reinforcement", opening=True),  # type: ignore[arg-type]
            "opening must be a LearnedStart or None; got True",
        ),
        (
            lambda: check_together(
                [
                    random_policy(),
                    replace(
                        opening(random_policy()),
                        scope=Scope(min_interval_updates=2, max_loss_gap=0.1),
                    ),
                ]
            ),
            "so neither may have an opening",
        ),
    ],
)
def test_an_opening_that_cannot_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(HPOControlError, match=message):
        make()
