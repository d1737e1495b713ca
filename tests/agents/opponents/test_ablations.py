from __future__ import annotations

import numpy as np
import pytest

from agents.opponents.base import Instance, Setup
from agents.opponents.drawing import make_tasks
from agents.opponents.lanes import Workload
from agents.opponents.registry import make_opponent
from hpo_env.hyperparameters import LEVELS
from hpo_env.tasks.base import Task
from hpo_env.tasks.registry import make_family
from tests.agents.opponents.by_hand import assert_same, run_by_hand
from tests.agents.opponents.policies import linear_policy, steady_policy

OPTIONS = {"updates_per_decision": 3}
SUPERVISED = Workload(options=OPTIONS, max_lanes=2)
KNOBS = ("learning_rate", "weight_decay")
SETUP = Setup(policy=linear_policy("supervised", KNOBS), hyperparameters=KNOBS)


def tasks() -> list[Task]:
    """Two horizons, and rates of which the last fails at once."""
    drawn = []
    for num_decisions in (3, 5):
        family = make_family(
            "supervised",
            dataset="diabetes",
            model="mlp_32x2_relu",
            optimizer="sgd",
            num_decisions=num_decisions,
            **OPTIONS,
        )
        drawn += make_tasks(family, 1, num_decisions, starts=(1e-3, 1.0))
    return drawn


def test_the_controllers_runs_are_those_of_the_environment_bit_for_bit() -> None:
    policy = SETUP.policy
    instances = [Instance(task=task, seed=seed) for task in tasks() for seed in (2, 7)]
    outcomes = make_opponent("controller", SETUP).run(SUPERVISED, instances, {})
    for instance, outcome in zip(instances, outcomes, strict=True):
        found = run_by_hand(
            instance,
            policy.act,
            family="supervised",
            hyperparameters=policy.space.names,
            base_schedule=policy.base_schedule,
            action_mode="continuous",
            **OPTIONS,
        )
        assert_same(outcome, found)


def test_an_interval_that_is_taken_back_is_charged_all_the_same() -> None:
    still = Setup(
        policy=steady_policy("supervised", KNOBS, base_schedule="constant"), hyperparameters=KNOBS
    )
    instances = [Instance(task=task, seed=2) for task in tasks()]
    outcomes = make_opponent("controller", still).run(SUPERVISED, instances, {})
    was_cut = [o.hyperparameters["learning_rate"][-1] < 0.5 for o in outcomes[1::2]]
    assert any(was_cut), "the guard never acted: this test shows nothing"
    assert [o.num_updates for o in outcomes] == [9, 9, 15, 15]
    assert not any(o.diverged for o in outcomes)


def test_without_a_guard_a_controller_that_never_moves_is_the_frozen_one() -> None:
    still = Setup(policy=steady_policy("supervised", KNOBS), hyperparameters=KNOBS)
    instances = [Instance(task=task, seed=2) for task in tasks()[::2]]  # the rates that go well
    frozen, moving, replayed = (
        make_opponent(name, still).run(SUPERVISED, instances, prepared)
        for name, prepared in [
            ("frozen", {}),
            ("controller", {}),
            ("open_loop", {"corrections": {name: [0.0] * 64 for name in KNOBS}}),
        ]
    )
    for one, other, third in zip(frozen, moving, replayed, strict=True):
        np.testing.assert_array_equal(one.validation_loss, other.validation_loss)
        np.testing.assert_array_equal(one.validation_loss, third.validation_loss)
        assert one.test_loss == other.test_loss == third.test_loss


@pytest.mark.parametrize("seed", [2, 3])
def test_random_moves_are_levels_of_every_knob(seed: int) -> None:
    workload = Workload(family="quadratic")
    policy = steady_policy("quadratic", ("learning_rate",), base_schedule="constant")
    family = make_family("quadratic", num_decisions=40)
    task = make_tasks(family, 1, 0, starts=(1e-2,))[0]
    opponent = make_opponent(
        "random_moves", Setup(policy=policy, hyperparameters=policy.space.names)
    )
    outcome = opponent.run(workload, [Instance(task=task, seed=seed)], {})[0]
    corrections = np.log(outcome.hyperparameters["learning_rate"] / 1e-2)
    moves = np.diff(corrections, prepend=0.0) / np.log(100.0)  # the largest move of the quadratic
    free = np.abs(corrections) < 0.9 * np.log(1e4)  # away from the ends, which cut moves off
    inside = free & np.r_[True, free[:-1]]
    distance = np.abs(moves[inside][:, None] - LEVELS).min(axis=1)
    np.testing.assert_allclose(distance, 0.0, atol=1e-6)
    assert len(np.unique(moves[inside].round(3))) >= 4
