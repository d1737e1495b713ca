from __future__ import annotations

from typing import Any

import numpy as np

from agents.opponents.base import Instance, Setup
from agents.opponents.drawing import make_tasks
from agents.opponents.lanes import Workload
from agents.opponents.registry import make_opponent
from hpo_env.env import HPOControlEnv
from hpo_env.hyperparameters import LEVELS
from hpo_env.tasks.quadratic import UPDATES_PER_DECISION, QuadraticTask
from hpo_env.tasks.registry import make_family
from tests.agents.opponents.policies import steady_policy

WORKLOAD = Workload(family="quadratic", max_lanes=12)  # two instances at a time
NUM_DECISIONS = 8
POLICY = steady_policy("quadratic", ("learning_rate",))
ORACLE = make_opponent("oracle_greedy", Setup(policy=POLICY, hyperparameters=("learning_rate",)))
TASKS = make_tasks(
    make_family("quadratic", num_decisions=NUM_DECISIONS), 1, 0, starts=(1e-4, 1e-2, 1.0)
)
INSTANCES = [Instance(task=task, seed=3) for task in TASKS]


def by_replaying(instance: Instance) -> tuple[list[float], list[float]]:
    """Find rates and losses the slow way: run again from the start for every candidate."""
    env = HPOControlEnv(
        family="quadratic",
        tasks=[instance.task],
        base_schedule=POLICY.base_schedule,
        on_divergence="end",
    )
    kept: list[float] = []
    rates, losses = [], []
    for _ in range(NUM_DECISIONS):
        found = []
        for level in LEVELS[[2, 1, 3, 0, 4]]:  # the smallest move first decides ties
            env.reset(seed=instance.lane_seed)
            for move in [*kept, level]:
                *_, info = env.step(np.array([move], dtype=np.float32))
            loss, rate = info["validation_loss"], info["hyperparameters"]["learning_rate"]
            found.append((float(loss) if np.isfinite(loss) else np.inf, level, float(rate)))
        loss, level, rate = min(found, key=lambda candidate: candidate[0])
        kept.append(float(level))
        rates.append(rate)
        losses.append(loss)
    return rates, losses


def test_the_best_fork_of_every_interval_is_kept() -> None:
    for outcome, instance in zip(ORACLE.run(WORKLOAD, INSTANCES, {}), INSTANCES, strict=True):
        rates, losses = by_replaying(instance)
        np.testing.assert_array_equal(outcome.hyperparameters["learning_rate"], rates)
        np.testing.assert_array_equal(outcome.validation_loss, losses)


def test_all_five_forks_are_paid() -> None:
    for outcome in ORACLE.run(WORKLOAD, INSTANCES, {}):
        assert outcome.num_updates == 5 * NUM_DECISIONS * UPDATES_PER_DECISION
        assert outcome.trial_intervals.tolist() == [NUM_DECISIONS]


def test_a_run_whose_forks_all_diverge_is_over_and_costs_no_more() -> None:
    # The smallest rate within reach is 1, and each of 4 updates doubles the distance to the optimum
    numbers: dict[str, Any] = {"num_decisions": 6, "initial": (100.0,), "noise": 0.1}
    doomed = Instance(task=QuadraticTask(name="quadratic", curvature=3.0, **numbers), seed=0)
    gentle = Instance(task=QuadraticTask(name="quadratic", curvature=0.3, **numbers), seed=0)
    lost, saved = ORACLE.run(WORKLOAD, [doomed, gentle], {})
    assert lost.diverged
    assert np.isnan([lost.last_loss, lost.test_loss, *lost.validation_loss]).all()
    assert lost.num_updates == 5 * UPDATES_PER_DECISION
    assert not saved.diverged
    assert saved.num_updates == 5 * 6 * UPDATES_PER_DECISION
