"""Runs of a kind that the policy's meta-training did not contain keep their values."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.control.writers import FunctionWriter
from hpo_env.controller import Controller, ControllerWarning
from hpo_env.errors import ConfigurationError
from hpo_env.policy import Policy
from hpo_env.restriction import restrict
from hpo_env.seeding import stream
from hpo_env.starts import LearnedStart, Problem, StartCase
from hpo_env.tasks.registry import make_family
from hpo_env.testing.policies import steady_policy
from hpo_env.testing.trainer_host import TrainerHost
from tests.hpo_env.families import SMALL

NAMES = ("learning_rate", "weight_decay")
OWN = {"learning_rate": 1e-3, "weight_decay": 0.1}
START = LearnedStart(cases=(StartCase(values={"learning_rate": 0.05}),))


def policy(kinds: tuple[str, ...] | None = ("known", "known too"), **more: Any) -> Policy:
    raising = steady_policy("supervised", NAMES, level=0.5, base_schedule="constant")
    return replace(raising, kinds=kinds, **more)


class Telling(PlainHost):
    """A host that can tell what kind of run it has."""

    def __init__(self, kind: str | None) -> None:
        writers = {n: FunctionWriter(function=lambda value: None, initial=OWN[n]) for n in OWN}
        super().__init__(writers)
        self.kind = kind

    def problem(self) -> Problem:
        return Problem(kind=self.kind)


def steered(kind: str | None, made: Policy, losses: Any = (1.0,) * 4, **options: Any) -> Run[Any]:
    controller = Controller(made)
    run = controller.steer(Telling(kind), total_steps=4, num_decisions=4, **options)
    for loss in losses:
        run.step(loss)
    return run


CASES: dict[str, tuple[str | None, tuple[str, ...] | None, dict[str, Any], bool]] = {
    "a kind that it knows": ("known too", ("known", "known too"), {}, True),
    "another": ("other", ("known", "known too"), {}, False),
    "a host that cannot tell": (None, ("known",), {}, True),
    "a policy that does not say": ("other", None, {}, True),
    "steered all the same": ("other", ("known",), {"steers_unknown": True}, True),
    "what the user says counts": ("other", ("known",), {"problem": Problem(kind="known")}, True),
    "also where it is unknown": ("known", ("known",), {"problem": Problem(kind="new")}, False),
}
"""Kind of the host, kinds of the policy, options, and whether the run is steered."""


@pytest.mark.parametrize("case", CASES)
def test_which_runs_are_steered(case: str, recwarn: pytest.WarningsRecorder) -> None:
    kind, kinds, options, is_steered = CASES[case]
    run = steered(kind, policy(kinds), **options)
    said = [str(w.message) for w in recwarn if issubclass(w.category, ControllerWarning)]
    if is_steered:
        assert [d.trust for d in run.decisions] == [1.0] * 4
        assert run.values["learning_rate"] > 2.0 * OWN["learning_rate"]
        assert not said
        assert "steers_unknown" not in str(run.explain())
        return
    assert all(decision.values == OWN for decision in run.decisions)
    assert {(d.reason, d.trust) for d in run.decisions} == {("unknown", 0.0)}
    assert len(said) == 1
    for told in (said[0], str(run.explain())):
        assert "steers_unknown=True" in told
        assert "'known'" in told
    assert "meta-training had no runs of this kind" in str(run.explain(2))


@pytest.mark.filterwarnings("ignore::hpo_env.errors.ControllerWarning")
def test_a_run_of_an_unknown_kind_is_watched_and_guarded() -> None:
    run = steered("other", policy(), losses=(1.0, math.nan, 1.0, 1.0))
    assert [d.reason for d in run.decisions] == ["unknown", "unknown", "guard", "unknown"]
    assert {d.trust for d in run.decisions} == {0.0}
    rates = [d.values["learning_rate"] for d in run.decisions]
    assert rates[:2] == [OWN["learning_rate"]] * 2
    assert rates[2] == rates[3] < OWN["learning_rate"]  # what diverged would do so again
    assert {d.values["weight_decay"] for d in run.decisions} == {OWN["weight_decay"]}
    assert [d.train_loss for d in run.decisions][1] == 1.0


@pytest.mark.filterwarnings("ignore::hpo_env.errors.ControllerWarning")
@pytest.mark.parametrize(
    ("start", "rate"), [(None, 1e-3), ("user", 1e-3), ("learned", 0.05), ({}, 1e-3)]
)
def test_an_unknown_kind_begins_elsewhere_where_that_was_asked_for_alone(
    start: Any, rate: float
) -> None:
    run = steered("other", policy(learned_start=START), start=start)
    assert {d.values["learning_rate"] for d in run.decisions} == {rate}
    known = steered("known", policy(learned_start=START))
    assert known.decisions[0].values["learning_rate"] > 0.05


@pytest.mark.filterwarnings("ignore::hpo_env.errors.ControllerWarning")
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("now", [False, True])
def test_a_saved_run_goes_on_being_steered_or_is_from_now_on(before: bool, now: bool) -> None:
    saved = steered("other", policy(), losses=(1.0, 1.0), steers_unknown=before)
    state = saved.state_dict()
    run = steered("other", policy(), losses=(1.0,), state=state, steers_unknown=now)
    is_steered = before or now
    assert run.decisions[-1].reason == ("policy" if is_steered else "unknown")
    assert (run.values != saved.values) is is_steered


@pytest.mark.filterwarnings("ignore::hpo_env.errors.ControllerWarning")
def test_states_from_before_kinds_were_told_apart_go_on_as_they_were() -> None:
    state = steered("other", policy(None), losses=(1.0, 1.0)).state_dict()
    del state["decider"]["knows_kind"]
    run = steered("other", policy(), losses=(1.0,), state=state)
    assert run.decisions[-1].reason == "policy"


@pytest.mark.parametrize("kinds", [(), ("a", "a"), ("",), ["a"], "a", (1,), (None,)])
def test_kinds_are_distinct_names(kinds: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"kinds must be a tuple of distinct names"):
        policy(kinds)


def test_a_smaller_policy_knows_the_same_kinds() -> None:
    assert restrict(policy(), ["learning_rate"]).kinds == policy().kinds


@pytest.mark.filterwarnings("ignore::hpo_env.errors.ControllerWarning")
@pytest.mark.parametrize("name", SMALL)
def test_every_family_whose_hosts_can_tell_holds_still(name: str) -> None:
    options = dict(SMALL[name])
    engine = options.pop("engine")
    family = make_family(name, **options)
    task = family.sample(stream(0, "task"))
    kind = family.problem(task).kind
    can_move = family.space.subset(family.default_controlled).names
    raising = steady_policy(name, can_move, level=0.5, base_schedule="constant")
    for kinds, is_steered in ((("another",), kind is None), ((str(kind),), True)):
        run = Controller(replace(raising, kinds=kinds)).steer(
            TrainerHost(family, task, 0, engine=engine),
            total_steps=task.num_decisions,
            num_decisions=task.num_decisions,
            base_schedule="constant",
        )
        run.step()
        began = {n: task.initial[family.space.index(n)] for n in run.policy.space.names}
        assert (run.values != began) is is_steered
        assert run.decisions[0].trust == (1.0 if is_steered else 0.0)
        run.close()
        np.testing.assert_equal(run.decisions[0].step, 0)
