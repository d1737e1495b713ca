"""What a run of boosting has come to: its best loss, and what a policy sees of the rest.

A model is cut off after its best round, which costs nothing. So the loss of a run is the best so
far: that is rewarded, and that is what `validation_loss` says. How the latest rounds went is in the
family's own entries of the observation. Trainer and host hold the same `Progress`, over N lanes or
over one.

All losses are log loss or root mean square error; only ratios of them are used, so that the scale
of a target does not matter.

Axes: `N` lanes, `n` of them, `F` entries of the observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.automl.task import Target

Array = NDArray[np.float64]
Lanes = NDArray[np.int64]

LOSS_FLOOR = 1e-6
"""A log loss below which nobody cares; errors in a user's own units must stay above it too."""

_SMOOTHING = 0.7


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a run before it starts; None where a loop does not tell.

    Args:
        target: What is predicted.
        num_rows: Rows that train.
        num_columns: Columns to predict from.
        num_classes: Of the target; 1 for regression.
        rounds_per_decision: Boosting rounds in a decision interval.
    """

    target: Target
    num_rows: int | None
    num_columns: int | None
    num_classes: int
    rounds_per_decision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One entry: `(more - less) / scale`, its tanh or clipped to `[-1, 1]`.

    Args:
        doc: What it measures.
        more: Name of what is remembered.
        less: Name of what is taken from it, or of a constant.
        scale: What becomes 1, and 0.76 where the tanh is taken.
        is_squashed: Whether the tanh is taken.
    """

    doc: str
    more: str
    less: str = "nothing"
    scale: float = 1.0
    is_squashed: bool = True


def _clipped(doc: str, more: str, less: str = "nothing", scale: float = 1.0) -> _Entry:
    return _Entry(doc=doc, more=more, less=less, scale=scale, is_squashed=False)


_CONSTANTS: Mapping[str, float] = {
    "nothing": 0.0,
    "log 1000": float(np.log(1000.0)),
    "log 20": float(np.log(20.0)),
    "log 5": float(np.log(5.0)),
    "log 2": float(np.log(2.0)),
}

_ENTRIES: Mapping[str, _Entry] = {
    "above_best_round": _Entry(
        doc="How far the log loss of the latest round lies above the best, 0.76 at 2 %",
        more="now", less="best", scale=0.02,
    ),
    "since_best": _clipped("Intervals since the best round, 1 from 5 on", "since", scale=5.0),
    "change": _Entry(
        doc="Fall of the latest round's log loss in the interval, 0.76 at 5 %",
        more="change", scale=0.05,
    ),
    "fine_change": _Entry(doc="The same, 0.76 at 0.5 %", more="change", scale=0.005),
    "change_before": _Entry(
        doc="The fall one interval earlier, 0.76 at 2 %", more="change_before", scale=0.02
    ),
    "change_average": _Entry(
        doc="Exponential average of the falls, 0.76 at 1 %", more="change_average", scale=0.01
    ),
    "train_change": _Entry(
        doc="Fall of the log training loss in the interval, 0.76 at 3 %",
        more="train_change", scale=0.03,
    ),
    "train_fall": _Entry(
        doc="Fall of the log training loss since the start, 0.76 at 1.5",
        more="train_first", less="train", scale=1.5,
    ),
    "gap": _Entry(
        doc="Log ratio of the latest validation loss to the training loss, 0.76 at 0.3",
        more="now", less="train", scale=0.3,
    ),
    "wide_gap": _Entry(doc="The same, 0.76 at 1.5", more="now", less="train", scale=1.5),
    "gap_change": _Entry(
        doc="Growth of that gap in the interval, 0.76 at 3 %", more="gap_change", scale=0.03
    ),
    "rows": _clipped("Logarithm of the rows that train, 0 at 1,000", "log_rows", "log 1000", 3.0),
    "columns": _clipped("Logarithm of the columns, 0 at 20", "log_columns", "log 20", 2.5),
    "is_classification": _clipped(
        "1 where classes are predicted, -1 for regression", "is_classification"
    ),
    "classes": _clipped(
        "Logarithm of the classes beyond two, 1 at fifty",
        "log_classes", "log 2", float(np.log(25.0)),
    ),
    "rounds": _clipped(
        "Logarithm of the rounds in an interval, 0 at five", "log_rounds", "log 5", 1.5
    ),
}  # fmt: skip

FEATURES: Mapping[str, str] = {name: entry.doc for name, entry in _ENTRIES.items()}
"""The family's entries of the observation and what they measure, in order."""

_MEMORY = (
    "now",
    "best",
    "since",
    "change",
    "change_before",
    "change_average",
    "train_first",
    "train",
    "train_change",
    "gap_change",
    "log_rows",
    "log_columns",
    "is_classification",
    "log_classes",
    "log_rounds",
)
_ROWS = (*_MEMORY, *_CONSTANTS)
_MORE = np.array([_ROWS.index(entry.more) for entry in _ENTRIES.values()])
_LESS = np.array([_ROWS.index(entry.less) for entry in _ENTRIES.values()])
_SCALES = np.array([[entry.scale] for entry in _ENTRIES.values()])
_IS_SQUASHED = np.array([[entry.is_squashed] for entry in _ENTRIES.values()])


class Progress:
    """Losses of N runs, interval by interval.

    What is remembered lies in one array, so that over one lane, where a call of NumPy takes longer
    than its work, all entries are worked out together.

    Args:
        num_lanes: `N`.
    """

    def __init__(self, num_lanes: int) -> None:
        self._table = np.zeros((len(_ROWS), num_lanes))
        self._table[len(_MEMORY) :] = np.array(list(_CONSTANTS.values()))[:, None]
        self._memory: dict[str, Array] = dict(zip(_MEMORY, self._table, strict=False))  # its rows

    def begin(
        self, lanes: Lanes, facts: list[Facts], validation_loss: Array, train_loss: Array
    ) -> None:
        """Start new runs.

        Args:
            lanes: Which lanes `[n]`.
            facts: Of each run, n of them.
            validation_loss: Of the best constant `[n]`; NaN where nobody measured it.
            train_loss: The same on the rows that train `[n]`; NaN where nobody does.
        """
        memory = self._memory
        for values in memory.values():
            values[lanes] = 0.0
        for name in ("now", "best"):
            memory[name][lanes] = _log(validation_loss)
        for name in ("train_first", "train"):
            memory[name][lanes] = _log(train_loss)
        memory["log_rows"][lanes] = [_log_count(f.num_rows) for f in facts]
        memory["log_columns"][lanes] = [_log_count(f.num_columns) for f in facts]
        memory["is_classification"][lanes] = [
            -1.0 if f.target == "regression" else 1.0 for f in facts
        ]
        memory["log_classes"][lanes] = [np.log(max(f.num_classes, 2)) for f in facts]
        memory["log_rounds"][lanes] = [np.log(f.rounds_per_decision) for f in facts]

    def take_in(self, now: Array, best: Array, train: Array) -> None:
        """Take in an interval of every lane.

        Args:
            now: Validation loss of the latest round `[N]`; NaN where there is none.
            best: Lowest validation loss of the interval's rounds `[N]`.
            train: Training loss of the latest round `[N]`; NaN where nobody measures it.
        """
        memory = self._memory
        log_now, log_train, log_best = logs = _log(np.array([now, train, best]))
        falls = np.array([memory["now"], memory["train"]]) - logs[:2]
        change, train_change = np.where(np.isnan(falls), 0.0, falls)  # 0 where it is not known
        has_improved = ~(log_best >= memory["best"])
        memory["since"][:] = np.where(has_improved, 0.0, memory["since"] + 1.0)
        np.fmin(memory["best"], log_best, out=memory["best"])
        memory["change_before"][:] = memory["change"]
        memory["change_average"][:] = (
            _SMOOTHING * memory["change_average"] + (1.0 - _SMOOTHING) * change
        )
        memory["change"][:], memory["train_change"][:] = change, train_change
        memory["gap_change"][:] = np.where(np.isnan(log_train), np.nan, train_change - change)
        memory["now"][:], memory["train"][:] = log_now, log_train
        first = memory["train_first"]
        first[:] = np.where(np.isnan(first), log_train, first)

    @property
    def best(self) -> Array:
        """The lowest validation loss of all rounds and of the constant `[N]`; NaN where none."""
        return np.asarray(np.exp(self._memory["best"]))

    def features(self) -> Array:
        """Return the entries of the observation `[N, F]` in `[-1, 1]`; 0 where not measured."""
        # Not np.nan_to_num nor np.clip: over one lane they take longer than all the entries.
        shares = (self._table[_MORE] - self._table[_LESS]) / _SCALES
        entries = np.where(_IS_SQUASHED, np.tanh(shares), shares)
        bounded = np.minimum(np.maximum(np.where(np.isnan(entries), 0.0, entries), -1.0), 1.0)
        return np.ascontiguousarray(bounded.T)

    def snapshot(self, lanes: Lanes) -> dict[str, Array]:
        """Copy all state of some lanes; `restore` is the inverse."""
        return {name: values[lanes] for name, values in self._memory.items()}

    def restore(self, lanes: Lanes, snapshot: Mapping[str, Any]) -> None:
        """Put a snapshot of n lanes into n lanes."""
        for name, values in snapshot.items():
            self._memory[name][lanes] = values


def _log(loss: Array) -> Array:
    """Return the logarithm, losses beyond all measure being taken for a very bad one."""
    finite = np.where(np.isinf(loss), 1e30, loss)
    return np.asarray(np.log(np.minimum(np.maximum(finite, LOSS_FLOOR), 1e30)))


def _log_count(count: int | None) -> float:
    return np.nan if count is None else float(np.log(max(count, 1)))
