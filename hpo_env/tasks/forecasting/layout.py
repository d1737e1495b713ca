"""What a lane remembers, as columns of one array, and what a walk is told of its series.

The kernel and its NumPy twin share the layout, so a lane can be handed from one to the other, and a
snapshot is a copy of rows.

Axes: `N` lanes, `S` columns of the state, `K` fixed smoothers, `L` observations.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.forecasting.preparation import MAX_LENGTH, MAX_PERIOD

MAX_LAGS = 12
MAX_HORIZON = 64
"""Most observations after an origin that errors are taken over."""
FAR = 4
"""Steps ahead of the delayed errors: a forecast is judged when this many observations are in."""

SMOOTHERS = np.array(
    [
        # level, trend, damping
        (0.1, 0.0, 0.9),
        (0.1, 0.1, 0.95),
        (0.3, 0.0, 0.9),
        (0.3, 0.1, 0.95),
        (0.6, 0.0, 0.9),
        (0.6, 0.1, 0.95),
        (0.999, 0.0, 0.9),
        (0.999, 0.1, 0.95),
        (0.3, 0.3, 0.9),
        (0.6, 0.3, 0.98),
    ]
)
"""Fixed smoothers that run along `[K, 3]`: their mean is what a forecast is measured against, and
their errors show what suits the series."""

NUM_SMOOTHERS = len(SMOOTHERS)
NUM_REGRESSORS = MAX_LAGS + 1  # the last one is a constant

COLUMNS: dict[str, int] = {
    "age": 1,  # observations seen
    "level": 1,
    "slope": 1,
    "seasonal": MAX_PERIOD,  # what the smoothing adds to the indices of the preparation
    "shadow_level": NUM_SMOOTHERS,
    "shadow_slope": NUM_SMOOTHERS,
    "last": 1,  # observation
    "last_error": 1,
    "error_fast": 1,  # averages of one-step errors, their sizes, products and squares
    "error_slow": 1,
    "size_fast": 1,
    "size_slow": 1,
    "product": 1,
    "square": 1,
    "naive_size": 1,
    "count": 1,  # sums of one-step errors since the warm start
    "own_sum": 1,
    "naive_sum": 1,
    "regression_sum": 1,
    "shadow_sum": NUM_SMOOTHERS,
    "far_count": 1,  # sums of errors FAR steps ahead
    "own_far": 1,
    "regression_far": 1,
    "shadow_far": NUM_SMOOTHERS,
    "trend_0": 1,  # sums of 1, x, x², z, xz for the straight line through all observations
    "trend_1": 1,
    "trend_2": 1,
    "trend_z": 1,
    "trend_xz": 1,
    "ring_live": FAR,  # forecasts that wait for their observation
    "ring_own": FAR,
    "ring_regression": FAR,
    "ring_shadow": FAR * NUM_SMOOTHERS,
    "gram": NUM_REGRESSORS * NUM_REGRESSORS,  # of the autoregression on changes
    "moment": NUM_REGRESSORS,
    "weights": NUM_REGRESSORS,
    "lags": MAX_LAGS,
    "change_square": 1,
    "log_q": 1,
    "interval_error": 1,  # sum of one-step errors of the last interval, and their number
    "interval_count": 1,
}
"""Width of each part of the state, in order."""

STATE_SIZE = sum(COLUMNS.values())

FACTS = ("length", "num_future", "period", "is_seasonal", "is_multiplicative", "stride", "warm")
"""Columns of the integers that say what a series is like."""

SERIES_LENGTH = MAX_LENGTH + MAX_HORIZON
"""Room for the observations of a lane and for those after its origin, `L`."""

RECENT = 0.89
"""What an error on the way counts against the one a decision after it: half of it six later."""

HYPERPARAMETERS = (
    "level",
    "trend",
    "seasonal",
    "damping",
    "drift",
    "lags",
    "ridge",
    "regression_share",
)
"""Columns of the values that a walk obeys, in order."""


def _slices(widths: Iterable[tuple[str, int]]) -> dict[str, slice]:
    found, start = {}, 0
    for name, width in widths:
        found[name] = slice(start, start + width)
        start += width
    return found


SLICES: dict[str, slice] = _slices(COLUMNS.items())
"""Where each part of the state stands."""

FEATURES: dict[str, str] = {
    "series_length": "Logarithm of the number of observations in the whole series, 0 at 40",
    "num_judged": "Logarithm of the observations that the errors so far come from",
    "season_length": "Logarithm of the observations in a season, 1 at 24",
    "is_seasonal": "1 when there are seasonal indices, -1 when not",
    "bias_fast": "Mean over mean size of the last few one-step errors",
    "bias_slow": "The same over about ten errors",
    "error_correlation": "Correlation of successive one-step errors",
    "error_change": "Log ratio of the size of the last few errors to that of the last ten",
    "error_to_naive": "Log ratio of the size of the last ten errors to the last ten changes",
    "roughness": "Log ratio of the last ten changes to the level, 0 at 3 %",
    "own_near": "Log ratio of all one-step errors to those of the last value",
    "own_far": f"Log ratio of all errors {FAR} steps ahead to the one-step changes",
    "slope": "Slope of the smoothing over the size of a change",
    "line": "Slope of the straight line through all observations over the size of a change",
    "lag_of_level": "Last observation above the level, over the size of a change",
    "has_far": f"1 when errors {FAR} steps ahead are known, -1 when not",
    "regression_near": "Log ratio of the autoregression's one-step errors to the changes",
    "regression_far": f"Log ratio of its errors {FAR} steps ahead to the changes",
    **{
        f"smoother_{k}_near": f"Log ratio of one-step errors with factors "
        f"{level:g}/{trend:g}/{damping:g} to the changes"
        for k, (level, trend, damping) in enumerate(SMOOTHERS)
    },
    **{
        f"smoother_{k}_far": f"Log ratio of errors {FAR} steps ahead with factors "
        f"{level:g}/{trend:g}/{damping:g} to the changes"
        for k, (level, trend, damping) in enumerate(SMOOTHERS)
    },
}
"""Entries of the observation that only this family has, all of them of what has been seen."""


def weight_of_recent(counts: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the sum of the weights of so many errors, the last of which counts 1 (`RECENT`)."""
    return np.asarray((1.0 - RECENT**counts) / (1.0 - RECENT))
