"""What happens to a series before the walk: scaling, classical seasonal indices, the warm start.

As Theta and Naive2 do it (Assimakopoulos and Nikolopoulos, 2000): if the autocorrelation at the
season's lag is significant at 90 %, the series is divided by classical indices (ratios to a centred
moving average; differences where values are not positive). Only the observations before the origin
count here: nothing that is to be forecast goes into an index, a scale or a test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MAX_PERIOD = 53
"""Longest season that the smoothing keeps indices for; a longer one counts as none."""

_WINDOW, _WINDOW_SEASONS = 120, 5
"""A walk sees this many of the last observations, or this many seasons where that is more."""

MAX_LENGTH = max(_WINDOW, _WINDOW_SEASONS * MAX_PERIOD)

_SIGNIFICANT = 1.645  # 90 %, two-sided
_SMALLEST_RATIO = 0.01  # a multiplicative index below it would blow an observation up
_MULTIPLICATIVE_FROM = 1e-3  # smallest value over the mean size


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A series that is ready to be walked through.

    Args:
        values: Scaled and free of the classical season `[n]`.
        scale: Mean size of an observation: what values were divided by.
        period: Observations in a season, 1 for none.
        indices: Seasonal index of every observation of a season, from the first of `values` on,
            `[period]`; 1 (or 0, if additive) where no season was found.
        is_seasonal: Whether a season was found.
        is_multiplicative: Whether indices are factors; they are summands if not.
        naive_error: Mean size of the seasonal naive's error in the sample, scaled; above 0.
    """

    values: Array
    scale: float
    period: int
    indices: Array
    is_seasonal: bool
    is_multiplicative: bool
    naive_error: float

    def seasonal(self, first: int, num: int) -> Array:
        """Return the indices of `num` observations from the place `first` on `[num]`."""
        return self.indices[(first + np.arange(num)) % self.period]

    @property
    def warm_start(self) -> int:
        """Observations that pass before the first decision."""
        first = min(max(len(self.values) // 4, 3), 12)
        return first + (len(self.values) - first) % self.stride

    @property
    def stride(self) -> int:
        """Observations in a decision interval."""
        return max(1, self.period // 4)

    @property
    def num_decisions(self) -> int:
        """Decisions in a walk; the last one comes after the last observation."""
        return num_decisions(len(self.values), self.period)


def window(period: int) -> int:
    """Return how many of the last observations a walk sees."""
    return max(_WINDOW, _WINDOW_SEASONS * period)


def num_decisions(length: int, period: int) -> int:
    """Count the decisions of a walk through `length` observations.

    Example:
        >>> num_decisions(14, 1), num_decisions(66, 12)
        (12, 19)
    """
    stride = max(1, period // 4)
    return (length - min(max(length // 4, 3), 12)) // stride + 1


def prepare(values: Array, period: int) -> Prepared:
    """Prepare the observations before an origin.

    Args:
        values: At least 3, finite `[T]`; the last ones are kept, see `window`.
        period: Observations in a season; 1 for none.
    """
    period = period if period <= MAX_PERIOD else 1
    kept = np.asarray(values, dtype=np.float64)[-window(period) :]
    scale = float(np.abs(kept).mean()) + 1e-9
    scaled = kept / scale
    is_multiplicative = bool(scaled.min() > _MULTIPLICATIVE_FROM)
    is_seasonal = has_season(scaled, period)
    neutral = np.ones(period) if is_multiplicative else np.zeros(period)
    indices = classical_indices(scaled, period, is_multiplicative) if is_seasonal else neutral
    repeated = indices[np.arange(len(scaled)) % period]
    lag = period if len(scaled) > period else 1
    return Prepared(
        values=scaled / repeated if is_multiplicative else scaled - repeated,
        scale=scale,
        period=period,
        indices=indices,
        is_seasonal=is_seasonal,
        is_multiplicative=is_multiplicative,
        naive_error=max(float(np.abs(scaled[lag:] - scaled[:-lag]).mean()), 1e-4),
    )


def has_season(values: Array, period: int) -> bool:
    """Test whether the autocorrelation at the season's lag is significant at 90 %.

    The standard error is Bartlett's. Less than two seasons and an observation hold no season.
    """
    if period == 1 or len(values) < 2 * period + 1:
        return False
    centred = values - values.mean()
    square = float(centred @ centred)
    if square <= 0.0:
        return False
    lags = range(1, period + 1)
    correlations = np.array([centred[k:] @ centred[:-k] / square for k in lags])
    error = np.sqrt((1.0 + 2.0 * np.sum(correlations[:-1] ** 2)) / len(values))
    return bool(abs(correlations[-1]) > _SIGNIFICANT * error)


def classical_indices(values: Array, period: int, is_multiplicative: bool) -> Array:
    """Return the mean ratio (or difference) to a centred moving average, by place in the season.

    Args:
        values: More than two seasons `[T]`.
        period: Above 1.
        is_multiplicative: Ratios, whose mean is brought to 1; else differences, to 0.

    Returns:
        Indices `[period]`, the first that of `values[0]`.
    """
    weights = np.ones(period) / period
    if period % 2 == 0:
        weights = np.concatenate([[0.5], np.ones(period - 1), [0.5]]) / period
    trend = np.convolve(values, weights, "valid")
    first = (len(weights) - 1) // 2
    inner = values[first : first + len(trend)]
    deviation = inner / np.maximum(trend, 1e-9) if is_multiplicative else inner - trend
    place = (first + np.arange(len(trend))) % period
    counts = np.bincount(place, minlength=period)
    neutral = 1.0 if is_multiplicative else 0.0
    sums = np.bincount(place, weights=deviation, minlength=period)
    indices = np.where(counts > 0, sums / np.maximum(counts, 1), neutral)
    if is_multiplicative:
        return np.asarray(np.maximum(indices / indices.mean(), _SMALLEST_RATIO))
    return np.asarray(indices - indices.mean())
