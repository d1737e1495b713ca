"""Curves of runs over their course, and which runs are looked at together.

Axes: `E` runs, `T` decision intervals, `G` points of progress.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..statistics.pairing import PairedRuns

Array = NDArray[np.float64]

_NUM_POINTS = 60
_MAX_STARTS = 4
_THIRDS = ("from low values", "from middling values", "from high values")


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Runs that are drawn together.

    Args:
        label: What they share.
        rows: Which they are, bool `[E]`.
    """

    label: str
    rows: NDArray[np.bool_]


def by_start(starts: Array) -> list[Group]:
    """Group runs by their start `[E]`; by third where every task drew its own.

    Example:
        >>> [group.label for group in by_start(np.array([0.1, 1e-3, 0.1]))]
        ['from 0.001', 'from 0.1']
    """
    values = np.unique(starts)
    if len(values) <= _MAX_STARTS:
        return [Group(label=f"from {value:g}", rows=starts == value) for value in values]
    third = np.searchsorted(np.quantile(starts, [1 / 3, 2 / 3]), starts)
    groups = [Group(label=label, rows=third == k) for k, label in enumerate(_THIRDS)]
    return [group for group in groups if group.rows.any()]


def by_task(runs: PairedRuns) -> list[Group]:
    """Group runs by task; where all have one name and the same labels, by start."""
    tasks = runs.tasks
    names = np.unique(tasks)
    if len(names) == 1:
        return by_start(runs.keys("start").astype(np.float64))
    return [Group(label=str(name), rows=tasks == name) for name in names]


def words_of(groups: Sequence[Group]) -> NDArray[np.str_]:
    """Return the label of each run's group `[E]`; the groups hold each run once."""
    words = np.empty(len(groups[0].rows), dtype=object)
    for group in groups:
        words[group.rows] = group.label
    return words.astype(np.str_)


def over_progress(curves: Array) -> Array:
    """Put runs of different lengths on one axis of progress.

    Args:
        curves: `[E, T]`, NaN after a run's end.

    Returns:
        `[E, G]`: what was in force at each of G points from the run's start to its end.

    Example:
        >>> over_progress(np.array([[1.0, 2.0, np.nan]]))[0, [0, 29, 30, -1]].tolist()
        [1.0, 1.0, 2.0, 2.0]
    """
    lengths = np.maximum((~np.isnan(curves)).sum(axis=1), 1)
    points = (np.arange(_NUM_POINTS) + 0.5) / _NUM_POINTS
    index = (points * lengths[:, None]).astype(np.int64)
    return np.take_along_axis(curves, np.minimum(index, lengths[:, None] - 1), axis=1)


def schedules(
    runs: PairedRuns, opponent: str, name: str, rows: NDArray[np.bool_] | None = None
) -> Array:
    """Return effective values of a hyperparameter in runs that did not diverge `[E, T]`.

    Shorter runs end in NaN.

    Args:
        runs: One suite's.
        opponent: Whose.
        name: The hyperparameter; without it there are no rows.
        rows: Which runs to look at `[E]`; all by default.
    """
    frame = _finished(runs, opponent, rows)
    found = [values.get(name) for values in frame["hyperparameters"]]
    return _padded([curve for curve in found if curve is not None])


def log_changes(runs: PairedRuns, opponent: str, rows: NDArray[np.bool_] | None = None) -> Array:
    """Return log validation losses less that at the start, as `schedules` returns values."""
    frame = _finished(runs, opponent, rows)
    losses, first = _padded(list(frame["validation_loss"])), frame["first_loss"].to_numpy(float)
    floor = frame["loss_floor"].to_numpy(float)[:, None]
    changes: Array = np.log(np.maximum(losses, floor) / np.maximum(first[:, None], floor))
    return changes


def _finished(runs: PairedRuns, opponent: str, rows: NDArray[np.bool_] | None) -> pd.DataFrame:
    frame = runs.frames[opponent]
    kept = ~frame["diverged"].to_numpy(bool)
    return frame[kept if rows is None else kept & rows]


def _padded(found: Sequence[Any]) -> Array:
    curves = [np.asarray(curve, dtype=np.float64) for curve in found]
    width = max((len(curve) for curve in curves), default=0)
    padded = [np.pad(c, (0, width - len(c)), constant_values=np.nan) for c in curves]
    return np.array(padded).reshape(len(curves), width)
