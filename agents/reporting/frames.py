"""Rows of opponents that train once, made of arrays over their runs: what a recording is.

Axes: `E` runs, `T` decision intervals of the longest run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.base import Task, TaskFamily

from ..comparing.records import record
from ..opponents.base import Instance, Outcome

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reached:
    """What one opponent that trains once reached; entry `e` of every array is run `e`.

    Args:
        tasks: As they were given, E.
        seeds: `[E]`.
        first_loss: Validation loss before the first update `[E]`.
        last_loss: Validation loss at the end `[E]`; NaN where diverged.
        test_loss: Test loss at the end `[E]`; may be anything where diverged.
        test_metric: The family's own measure on test data `[E]`; NaN where there is none.
        diverged: bool `[E]`.
        hyperparameters: Effective values in each interval `[E, T]`, by name; NaN after the end.
        validation_loss: Validation loss after each interval `[E, T]`; NaN after the end.
    """

    tasks: tuple[Task, ...]
    seeds: NDArray[np.int64]
    first_loss: Array
    last_loss: Array
    test_loss: Array
    test_metric: Array
    diverged: NDArray[np.bool_]
    hyperparameters: dict[str, Array]
    validation_loss: Array


def rows_of(
    opponent: str, suite: str, reached: Reached, family: TaskFamily
) -> list[dict[str, Any]]:
    """Make a row of each run of an opponent that trains once.

    Args:
        opponent: Its name.
        suite: What its tasks are called together.
        reached: E runs.
        family: That the tasks are from.
    """
    column = family.space.index(family.leading())
    rows = []
    for e, task in enumerate(reached.tasks):
        instance = Instance(task=task, seed=int(reached.seeds[e]))
        outcome = _outcome(reached, e, family.interval_updates(task))
        start, floor = task.initial[column], family.loss_floor
        rows.append(record(opponent, suite, instance, outcome, start=start, loss_floor=floor))
    return rows


def _outcome(reached: Reached, e: int, interval_updates: int) -> Outcome:
    length = reached.tasks[e].num_decisions
    values = {name: curves[e, :length] for name, curves in reached.hyperparameters.items()}
    num_intervals = max(int(np.isfinite(curve).sum()) for curve in values.values())
    diverged = bool(reached.diverged[e])
    test_loss = float("nan") if diverged else float(reached.test_loss[e])
    num_updates = num_intervals * interval_updates
    return Outcome(
        first_loss=float(reached.first_loss[e]),
        last_loss=float(reached.last_loss[e]),
        test_loss=test_loss,
        test_metric=float(reached.test_metric[e]),
        diverged=diverged,
        hyperparameters=values,
        validation_loss=reached.validation_loss[e, :length],
        trial_validation_loss=reached.last_loss[[e]],
        trial_test_loss=np.array([test_loss]),
        trial_intervals=np.array([num_intervals]),
        spent_updates=np.array([num_updates]),
        num_updates=num_updates,
        train_seconds=0.0,
        overhead_seconds=0.0,
    )
