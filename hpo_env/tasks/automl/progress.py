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

from collections.abc import Callable, Mapping
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


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry: its value, clipped to `[-1, 1]`, or `tanh(value / scale)` where it has a scale."""

    doc: str
    compute: Callable[[Mapping[str, Array]], Array]
    scale: float | None = None


_ENTRIES: Mapping[str, _Entry] = {
    "above_best_round": _Entry(
        "How far the log loss of the latest round lies above the best, 0.76 at 2 %",
        lambda m: m["now"] - m["best"], 0.02,
    ),
    "since_best": _Entry(
        "Intervals since the best round, 1 from 5 on", lambda m: m["since"] / 5.0,
    ),
    "change": _Entry("Fall of the latest round's log loss in the interval, 0.76 at 5 %",
                     lambda m: m["change"], 0.05),
    "fine_change": _Entry("The same, 0.76 at 0.5 %", lambda m: m["change"], 0.005),
    "change_before": _Entry("The fall one interval earlier, 0.76 at 2 %",
                            lambda m: m["change_before"], 0.02),
    "change_average": _Entry("Exponential average of the falls, 0.76 at 1 %",
                             lambda m: m["change_average"], 0.01),
    "train_change": _Entry("Fall of the log training loss in the interval, 0.76 at 3 %",
                           lambda m: m["train_change"], 0.03),
    "train_fall": _Entry("Fall of the log training loss since the start, 0.76 at 1.5",
                         lambda m: m["train_first"] - m["train"], 1.5),
    "gap": _Entry("Log ratio of the latest validation loss to the training loss, 0.76 at 0.3",
                  lambda m: m["now"] - m["train"], 0.3),
    "wide_gap": _Entry("The same, 0.76 at 1.5", lambda m: m["now"] - m["train"], 1.5),
    "gap_change": _Entry("Growth of that gap in the interval, 0.76 at 3 %",
                         lambda m: m["gap_change"], 0.03),
    "rows": _Entry("Logarithm of the rows that train, 0 at 1,000",
                   lambda m: (m["log_rows"] - np.log(1000.0)) / 3.0),
    "columns": _Entry("Logarithm of the columns, 0 at 20",
                      lambda m: (m["log_columns"] - np.log(20.0)) / 2.5),
    "is_classification": _Entry("1 where classes are predicted, -1 for regression",
                                lambda m: m["is_classification"]),
    "classes": _Entry("Logarithm of the classes beyond two, 1 at fifty",
                      lambda m: (m["log_classes"] - np.log(2.0)) / np.log(25.0)),
    "rounds": _Entry("Logarithm of the rounds in an interval, 0 at five",
                     lambda m: (m["log_rounds"] - np.log(5.0)) / 1.5),
}  # fmt: skip

_SQUASHED = [place for place, entry in enumerate(_ENTRIES.values()) if entry.scale is not None]
_SCALES = np.array([[entry.scale] for entry in _ENTRIES.values() if entry.scale is not None])

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


class Progress:
    """Losses of N runs, interval by interval.

    Args:
        num_lanes: `N`.
    """

    def __init__(self, num_lanes: int) -> None:
        self._memory: dict[str, Array] = {name: np.zeros(num_lanes) for name in _MEMORY}

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
        log_now, log_best, log_train = _log(np.array([now, best, train]))
        change = _less(memory["now"], log_now)
        train_change = _less(memory["train"], log_train)
        has_improved = ~(log_best >= memory["best"])
        memory["since"] = np.where(has_improved, 0.0, memory["since"] + 1.0)
        memory["best"] = np.fmin(memory["best"], log_best)
        memory["change_before"] = memory["change"]
        memory["change_average"] = (
            _SMOOTHING * memory["change_average"] + (1.0 - _SMOOTHING) * change
        )
        memory["change"], memory["train_change"] = change, train_change
        memory["gap_change"] = np.where(np.isnan(log_train), np.nan, train_change - change)
        memory["now"], memory["train"] = log_now, log_train
        first = memory["train_first"]
        memory["train_first"] = np.where(np.isnan(first), log_train, first)

    @property
    def best(self) -> Array:
        """The lowest validation loss of all rounds and of the constant `[N]`; NaN where none."""
        return np.asarray(np.exp(self._memory["best"]))

    def features(self) -> Array:
        """Return the entries of the observation `[N, F]` in `[-1, 1]`; 0 where not measured."""
        # Not np.stack nor np.nan_to_num: over one lane they take longer than all the entries. For
        # the same reason all are squashed at once.
        columns = np.array([entry.compute(self._memory) for entry in _ENTRIES.values()])
        columns[_SQUASHED] = np.tanh(columns[_SQUASHED] / _SCALES)
        bounded = np.minimum(np.maximum(np.where(np.isnan(columns), 0.0, columns), -1.0), 1.0)
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


def _less(before: Array, now: Array) -> Array:
    """Return the fall, 0 where one of the two was not measured."""
    fall = before - now
    return np.where(np.isnan(fall), 0.0, fall)


def _log_count(count: int | None) -> float:
    return np.nan if count is None else float(np.log(max(count, 1)))
