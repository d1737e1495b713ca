from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from agents.evaluation import tuning
from agents.evaluation.methods import Scheduled
from agents.evaluation.protocol import make_tasks, run_method
from agents.evaluation.tuning import rate_grid, tune_rates
from hpo_env.tasks.base import Task
from hpo_env.tasks.registry import make_family

GRID = (1e-3, 1e-2, 1e-1, 1.0)


def test_the_grid_has_two_rates_a_decade_from_1e_5_to_the_highest() -> None:
    grid = rate_grid(make_family("supervised").space)
    np.testing.assert_allclose(grid, np.logspace(-5, 0, 11))


def test_the_best_rate_is_the_one_that_does_best_alone() -> None:
    tasks = make_tasks(make_family("quadratic"), 6, 0)
    tuned = tune_rates("cosine", tasks, [0, 1], family="quadratic", grid=GRID)
    alone = {}
    for rate in GRID:
        method = Scheduled(name="", base_schedule="cosine", rate=rate)
        alone[rate] = run_method(method, tasks, [0, 1], family="quadratic").log_last_loss.mean()
    assert tuned.scores == pytest.approx(alone, rel=1e-12)
    assert tuned.overall == min(alone, key=lambda rate: alone[rate])
    assert tuned.base_schedule == "cosine"


@dataclass(frozen=True, kw_only=True)
class _Task(Task):
    optimizer: str


def test_each_optimizer_gets_its_own_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    best = {"sgd": 1e-1, "adamw": 1e-3}
    tasks = [_Task(name="t", num_decisions=1, initial=(1.0,), optimizer=o) for o in best]

    def fake(method: Any, trials: list[_Task], seeds: list[int], **_: Any) -> Any:
        gaps = [abs(np.log10(t.initial[0] / best[t.optimizer])) for t in trials]
        return type("Results", (), {"log_last_loss": np.array(gaps)})()

    monkeypatch.setattr(tuning, "run_method", fake)
    tuned = tune_rates("cosine", tasks, [0], family="quadratic", grid=GRID)
    assert tuned.per_optimizer == best
    assert tuned.scores == {1e-3: 1.0, 1e-2: 1.0, 1e-1: 1.0, 1.0: 2.0}


def test_a_rate_per_optimizer_wins_over_the_single_one() -> None:
    space = make_family("quadratic").space
    method = Scheduled(name="", base_schedule="cosine", rate=1e-2, rate_per_optimizer={"sgd": 1e-1})
    rates = {}
    for optimizer in ("sgd", "adamw"):
        task = _Task(name="t", num_decisions=1, initial=(1.0,), optimizer=optimizer)
        rates[optimizer] = method.prepare(task, space).initial
    assert rates == {"sgd": (1e-1,), "adamw": (1e-2,)}
