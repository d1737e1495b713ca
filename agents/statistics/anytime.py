"""What an opponent has in hand after so much of its budget.

Budgets are inner updates in units of one run from start to end, so all opponents are on one axis.
A one-run opponent is valued by its validation curve while it trains. A search is valued when its
trials end, by its incumbent; before its first trial has ended nothing is known, which is NaN. What
trains side by side ends side by side: of sixteen trials that run together the first is known when
all sixteen are paid.

Axes: `M` opponents, `E` runs, `G` budgets, `K` trials, `T` decision intervals.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .incumbent import incumbents, row_log_loss
from .pairing import PairedRuns

Array = NDArray[np.float64]
Measure = Literal["validation", "test"]
"""By which loss incumbents are valued; they are chosen by validation loss in any case."""

_SLACK = 1e-9  # budgets are quotients of whole numbers
_PER_DOUBLING = 4


def budget_grid(max_runs: float) -> Array:
    """Return budgets `[G]`: 0 to 1 in twentieths, then evenly on a log scale up to max_runs.

    Example:
        >>> budget_grid(4.0)[[0, 1, 20, -1]].tolist()
        [0.0, 0.05, 1.0, 4.0]
    """
    within = np.linspace(0.0, 1.0, 21)
    if max_runs <= 1.0:
        return within
    num = max(2, round(_PER_DOUBLING * np.log2(max_runs)) + 1)
    return np.concatenate([within, np.geomspace(1.0, max_runs, num)[1:]])


def anytime_losses(
    runs: PairedRuns, budgets: Array, *, measure: Measure = "test"
) -> dict[str, Array]:
    """Return the log loss of what is in hand at each budget.

    Args:
        runs: One suite's.
        budgets: In runs `[G]`, not negative.
        measure: `"validation"` follows one-run opponents while they train; `"test"` is known from
            the end of the first trial on.

    Returns:
        By opponent `[E, G]`; NaN before anything is known. Divergence counts as in `records`.
    """
    updates = runs.updates_per_run
    return {
        name: np.array(
            [
                _at(budgets, *_path(row, float(n), measure))
                for (_, row), n in zip(frame.iterrows(), updates, strict=True)
            ]
        )
        for name, frame in runs.frames.items()
    }


def _path(row: pd.Series, updates: float, measure: Measure) -> tuple[Array, Array]:
    """Return when what is in hand changes, in runs, and its log losses from then on."""
    intervals = np.asarray(row["trial_intervals"], dtype=np.int64)
    curve = np.asarray(row["validation_loss"], dtype=np.float64)
    validation = np.asarray(row["trial_validation_loss"], dtype=np.float64)
    spent = np.asarray(row["spent_updates"], dtype=np.float64) / updates
    if measure == "validation" and len(validation) == 1:
        ended = curve[: intervals[0]]
        when = spent[0] * np.arange(len(ended) + 1) / max(len(ended), 1)
        return when, row_log_loss(np.concatenate([[row["first_loss"]], ended]), row)
    losses = validation if measure == "validation" else np.asarray(row["trial_test_loss"])
    return spent, row_log_loss(losses[incumbents(validation, intervals, len(curve))], row)


def _at(budgets: Array, when: Array, losses: Array) -> Array:
    """Read steps at budgets `[G]`."""
    place = np.searchsorted(when, budgets + _SLACK, side="right") - 1
    return np.where(place >= 0, losses[np.maximum(place, 0)], np.nan)
