"""What a search has in hand after each of its trials.

The incumbent is the trial that the search would return if it ended now. It is chosen by validation
loss, as `Lanes.outcome` chooses, and valued by whatever one asks for; test losses choose nothing.

Axes: `K` trials.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpo_env.reward import bounded_log_loss

Array = NDArray[np.float64]


def incumbents(
    validation_loss: Array, intervals: NDArray[np.int64], num_intervals: int
) -> NDArray[np.int64]:
    """Return the number of the incumbent after each trial.

    Finished trials stand before diverged ones, complete trials before those stopped early, then
    the lowest validation loss counts, and of equals the first.

    Args:
        validation_loss: At the end of each trial `[K]`, in the order in which they ended; NaN where
            diverged.
        intervals: Decision intervals that each went through `[K]`.
        num_intervals: Decision intervals of a complete trial.

    Returns:
        `[K]`, entry k among the first k+1 trials.

    Example:
        >>> losses, full = np.array([np.nan, 0.5, 0.2, 0.4]), np.array([3, 9, 4, 9])
        >>> incumbents(losses, full, 9).tolist()
        [0, 1, 1, 3]
    """
    diverged = np.isnan(validation_loss)
    order = np.lexsort((validation_loss, intervals < num_intervals, diverged))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    best: NDArray[np.int64] = order[np.minimum.accumulate(rank)]
    return best


def row_log_loss(loss: Array, row: pd.Series[Any]) -> Array:
    """Return log losses of a row's run, a divergence counting as in its `log_test_loss`.

    Args:
        loss: `[K]`; not finite where diverged.
        row: Of a table, see `agents/comparing/records.py`.
    """
    return bounded_log_loss(
        loss,
        first_loss=np.asarray(row["first_loss"]),
        diverged=np.zeros(np.shape(loss), dtype=bool),
        floor=float(row["loss_floor"]),
    )
