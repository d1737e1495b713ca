"""The native booster as an engine: trees are applied as they grow, and a lane is its scores.

Axes: `N` lanes, `n` of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.automl.binning import binned, linear_inputs
from hpo_env.tasks.automl.boosters import Array, Boosters, Lanes, Rounds
from hpo_env.tasks.automl.native.kernel import NativeTable, advance, load
from hpo_env.tasks.automl.space import HYPERPARAMETERS
from hpo_env.tasks.automl.task import AutomlTask, Part

_LINEAR = tuple(h.name for h in HYPERPARAMETERS).index("linear_shrinkage")


class NativeBoosters(Boosters):
    """N boostings in C++.

    Args:
        num_lanes: `N`.

    Raises:
        BuildError: The kernel cannot be built.
    """

    def __init__(self, num_lanes: int) -> None:
        load()
        self._tasks: list[AutomlTask | None] = [None] * num_lanes
        self._tables: list[NativeTable | None] = [None] * num_lanes
        self._scores: list[NDArray[np.float32]] = [np.empty((0, 1), np.float32)] * num_lanes
        self._states = np.zeros(num_lanes, dtype=np.uint64)
        self._before = self._scores

    def start(self, lanes: Lanes, tasks: list[AutomlTask], seeds: list[int]) -> Rounds:
        """See `Boosters.start`."""
        losses = np.empty((4, len(tasks), 1))
        for place, (lane, task, seed) in enumerate(zip(lanes, tasks, seeds, strict=True)):
            table = self._put(int(lane), task)
            self._scores[lane] = np.empty(table.shape, dtype=np.float32)
            losses[:, place, 0] = table.start(self._scores[lane])
            self._states[lane] = np.uint64(seed)
        self._before = list(self._scores)
        return _rounds(losses)

    def advance(self, values: Array, num_rounds: NDArray[np.int64], best: Array) -> Rounds:
        """See `Boosters.advance`."""
        self._before = [scores.copy() for scores in self._scores]
        tables = [table for table in self._tables if table is not None]
        for lane in np.flatnonzero(values[:, _LINEAR] > 0.0):
            self._get_linear(int(lane))
        arrays = (np.ascontiguousarray(values), np.ascontiguousarray(num_rounds))
        losses = advance(tables, self._scores, self._states, *arrays, np.ascontiguousarray(best))
        return _rounds(losses)

    def snapshot(self, lanes: Lanes) -> list[tuple[AutomlTask, NDArray[np.float32], int]]:
        """See `Boosters.snapshot`."""
        held = []
        for lane in lanes:
            task = self._tasks[lane]
            assert task is not None
            held.append((task, self._scores[lane].copy(), int(self._states[lane])))
        return held

    def restore(self, lanes: Lanes, snapshot: Any) -> None:
        """See `Boosters.restore`."""
        for lane, (task, scores, state) in zip(lanes, snapshot, strict=True):
            self._put(int(lane), task)
            self._scores[lane], self._states[lane] = scores.copy(), np.uint64(state)

    def put_back(self, lanes: Lanes) -> None:
        """See `Boosters.put_back`."""
        for lane in lanes:
            self._scores[lane] = self._before[lane].copy()

    def _put(self, lane: int, task: AutomlTask) -> NativeTable:
        table = self._tables[lane] = _native(task.part)
        self._tasks[lane] = task
        return table

    def _get_linear(self, lane: int) -> None:
        table, task = self._tables[lane], self._tasks[lane]
        if table is not None and task is not None and not table.has_linear:
            table.set_linear(linear_inputs(task.part))


def _rounds(losses: Array) -> Rounds:
    train, validation, test, metric = losses
    return Rounds(train=train, validation=validation, test=test, test_metric=metric)


@lru_cache(maxsize=1024)
def _native(part: Part) -> NativeTable:
    """Put the part of a table into bins, once a process."""
    return NativeTable(binned(part))
