from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from agents.opponents import goto as module
from agents.opponents.base import Instance, Setup
from agents.opponents.goto import NUM_PER_ROUND, STEPS, curve_losses
from agents.opponents.lanes import Workload
from agents.opponents.registry import make_opponent
from agents.opponents.tuned import NUM_DRAWN
from hpo_env.seeding import stream
from hpo_env.testing.policies import linear_policy

BEST = 0.05
"""Where the made-up losses below have their lowest value."""


def workload_and_instances(count: int = 1) -> tuple[Workload, list[Instance]]:
    workload = Workload(family="quadratic", options={"num_decisions": 4})
    tasks = [workload.task_family.sample(stream(k, "task")) for k in range(count)]
    return workload, [Instance(task=task, seed=1) for task in tasks]


def test_each_round_goes_on_from_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[list[float]] = []

    def losses(
        workload: Workload, instances: object, candidates: list[Mapping[str, float]]
    ) -> object:
        rates = [c.get("learning_rate", workload.leading.default) for c in candidates]
        rounds.append(rates)
        return np.abs(np.log(np.array([rates]) / BEST))

    monkeypatch.setattr(module, "curve_losses", losses)
    workload, instances = workload_and_instances()
    names = ("learning_rate",)
    setup = Setup(policy=linear_policy("quadratic", names), hyperparameters=names)
    prepared = make_opponent("goto", setup).prepare(workload, instances)
    assert [len(rates) for rates in rounds] == [NUM_DRAWN + 1, *[NUM_PER_ROUND] * len(STEPS)]
    every = np.concatenate(rounds)
    chosen = prepared["overall"]["learning_rate"]
    assert chosen == every[np.abs(np.log(every / BEST)).argmin()]
    spreads = [np.log(rates).std() for rates in rounds]
    assert (np.diff(spreads) < 0.0).all()
    assert len(prepared["scores"]) == len(prepared["candidates"]) == len(every)


def test_the_whole_curve_counts() -> None:
    workload, instances = workload_and_instances(2)
    slow, fast = {"learning_rate": 0.003}, {"learning_rate": 0.03}
    scores = curve_losses(workload, instances, [slow, fast])
    assert scores.shape == (2, 2)
    assert (scores[:, 1] < scores[:, 0]).all()
    lost = curve_losses(workload, instances[:1], [{"learning_rate": 100.0}])
    assert np.isfinite(lost).all()
    assert lost[0, 0] > scores.max()
