"""Runs N boostings at once, whatever engine grows the trees.

Axes: `N` lanes, `n` of them, `H` hyperparameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.automl.boosters import Boosters, Rounds
from hpo_env.tasks.automl.problem import Problem, problem_of
from hpo_env.tasks.automl.progress import Facts, Progress
from hpo_env.tasks.automl.task import AutomlTask
from hpo_env.tasks.base import Task, Trainer
from hpo_env.telemetry import Telemetry

Array = NDArray[np.float64]
Lanes = NDArray[np.int64]


def facts_of(problem: Problem, rounds_per_decision: int) -> Facts:
    """Say of a problem what a loop knows before it starts."""
    return Facts(
        target=problem.target,
        num_rows=len(problem.train),
        num_columns=problem.train.x.shape[1],
        num_classes=problem.num_classes,
        rounds_per_decision=rounds_per_decision,
    )


class AutomlTrainer(Trainer):
    """N boostings; see `Trainer` for the methods.

    The validation loss is that of the best round so far, the test loss that of the same round; see
    `progress`. Nothing diverges: a run whose rounds go wrong keeps the best of those before.

    Args:
        boosters: What grows the trees of N lanes.
        num_lanes: `N`.
    """

    def __init__(self, boosters: Boosters, num_lanes: int) -> None:
        self._boosters = boosters
        self._progress = Progress(num_lanes)
        self._every = np.arange(num_lanes)
        self._num_rounds = np.ones(num_lanes, dtype=np.int64)
        self._knows_train = np.ones(num_lanes, dtype=bool)
        self._best = np.full(num_lanes, np.inf)  # validation loss of the best round
        self._tested = np.full((num_lanes, 2), np.nan)  # test loss and metric of the same round
        self._before: Any = None

    def reset(self, lanes: Lanes, tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Start from the best constants."""
        chosen: list[AutomlTask] = tasks  # type: ignore[assignment]
        rounds = self._boosters.start(lanes, chosen, seeds)
        self._num_rounds[lanes] = [task.rounds_per_decision for task in chosen]
        self._knows_train[lanes] = [task.knows_training_loss for task in chosen]
        self._best[lanes] = rounds.validation[:, 0]
        self._tested[lanes] = np.stack([rounds.test[:, 0], rounds.test_metric[:, 0]], axis=1)
        facts = [facts_of(problem_of(task), task.rounds_per_decision) for task in chosen]
        train = np.where(self._knows_train[lanes], rounds.train[:, 0], np.nan)
        self._progress.begin(lanes, facts, rounds.validation[:, 0], train)
        self._before = self._copies(self._every)
        return self._measure(rounds.train[:, 0], lanes)

    def advance(self, values: Array) -> tuple[Telemetry, Array]:
        """Boost for a decision interval; see `Trainer.advance`."""
        self._before = self._copies(self._every)
        rounds = self._boosters.advance(values, self._num_rounds, self._best)
        self._note_best(rounds)
        last = self._num_rounds - 1
        now, train = rounds.validation[self._every, last], rounds.train[self._every, last]
        best = np.fmin.reduce(rounds.validation, axis=1)
        self._progress.take_in(now, best, np.where(self._knows_train, train, np.nan))
        return self._measure(train, self._every), values.copy()

    def features(self, lanes: Lanes) -> Array:
        """Return how the rounds went `[n, F]`; see `progress.FEATURES`."""
        return self._progress.features()[lanes]

    def test(self, lanes: Lanes) -> tuple[Array, Array]:
        """Return the test loss and metric of the best round on validation rows `[n]`."""
        return self._tested[lanes, 0], self._tested[lanes, 1]

    def roll_back(self, lanes: Lanes) -> None:
        """Take the last interval's trees away."""
        self._boosters.put_back(lanes)
        self._put(lanes, {name: part[lanes] for name, part in self._before["arrays"].items()})
        progress = {name: part[lanes] for name, part in self._before["progress"].items()}
        self._progress.restore(lanes, progress)

    def snapshot(self, lanes: Lanes) -> Any:
        """Copy all state of some lanes."""
        return {**self._copies(lanes), "boosters": self._boosters.snapshot(lanes)}

    def restore(self, lanes: Lanes, snapshot: Any) -> None:
        """Put a snapshot of n lanes into n lanes."""
        self._boosters.restore(lanes, snapshot["boosters"])
        self._put(lanes, snapshot["arrays"])
        self._progress.restore(lanes, snapshot["progress"])

    # --------------------------------------------------------------------------------- the insides

    def _note_best(self, rounds: Rounds) -> None:
        losses = np.where(np.isnan(rounds.validation), np.inf, rounds.validation)
        place = losses.argmin(axis=1)
        lowest = losses[self._every, place]
        is_better = lowest < self._best
        self._best = np.where(is_better, lowest, self._best)
        tested = np.stack([rounds.test, rounds.test_metric], axis=2)[self._every, place]
        self._tested = np.where(is_better[:, None], tested, self._tested)

    def _measure(self, train: Array, lanes: Lanes) -> Telemetry:
        telemetry = Telemetry.missing(len(lanes))
        telemetry.validation_loss[:] = self._best[lanes]
        telemetry.train_loss[:] = np.where(self._knows_train[lanes], train, np.nan)
        return telemetry

    def _copies(self, lanes: Lanes) -> dict[str, dict[str, NDArray[Any]]]:
        arrays = {name: getattr(self, name)[lanes] for name in _ARRAYS}
        return {"arrays": arrays, "progress": self._progress.snapshot(lanes)}

    def _put(self, lanes: Lanes, arrays: dict[str, NDArray[Any]]) -> None:
        for name, rows in arrays.items():
            getattr(self, name)[lanes] = rows


_ARRAYS = ("_num_rounds", "_knows_train", "_best", "_tested")
