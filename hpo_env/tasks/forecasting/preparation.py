"""What happens to a series before the walk: scaling, seasonal indices, the warm start.

Ratios to a centred moving average (differences where values are not positive), averaged over the
years with more weight on late ones, shrunk towards no season by as much as chance alone explains
(James and Stein's estimator, as Miller and Williams, International Journal of Forecasting 19, 2003,
apply it to seasonal factors). A second pass smooths the series without its season up to both ends,
which the moving average alone does not reach. There is no test for a season: what is not there is
shrunk away. Theta and Naive2, which this is compared with, have the test and the indices of M3
(`classically_prepared`; Assimakopoulos and Nikolopoulos, 2000).

Only the observations before the origin count here: nothing that is to be forecast goes into an
index, a scale or a test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Season = Literal["auto", "multiplicative", "additive"]
"""How the season enters: auto multiplies where all observations are clearly positive."""

MAX_PERIOD = 53
"""Longest season that the smoothing keeps indices for; a longer one counts as none."""

_WINDOW, _WINDOW_SEASONS = 120, 5
"""A walk sees this many of the last observations, or this many seasons where that is more."""

MAX_LENGTH = max(_WINDOW, _WINDOW_SEASONS * MAX_PERIOD)

_SIGNIFICANT = 1.645  # 90 %, two-sided
_YEARLY_WEIGHT = 0.85  # of a year against the one after it, in the indices
_SMALLEST_RATIO = 0.01  # a multiplicative index below it would blow an observation up
_MULTIPLICATIVE_FROM = 1e-3  # smallest value over the mean size


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A series that is ready to be walked through.

    Args:
        values: Scaled and free of the season `[n]`.
        scale: Mean size of an observation: what values were divided by.
        period: Observations in a season, 1 for none.
        indices: Seasonal index of every observation of a season, from the first of `values` on,
            `[period]`; 1 (or 0, if additive) where no season was found.
        is_seasonal: Whether there are indices: two seasons and an observation are needed.
        seasonality: Share of the indices that chance does not explain, 0 to 1.
        is_multiplicative: Whether indices are factors; they are summands if not.
        naive_error: Mean size of the seasonal naive's error in the sample, scaled; above 0.
    """

    values: Array
    scale: float
    period: int
    indices: Array
    is_seasonal: bool
    seasonality: float
    is_multiplicative: bool
    naive_error: float

    @property
    def observed(self) -> Array:
        """What was measured, still scaled `[n]`."""
        season = self.seasonal(0, len(self.values))
        return self.values * season if self.is_multiplicative else self.values + season

    def seasonal(self, first: int, num: int) -> Array:
        """Return the indices of `num` observations from the place `first` on `[num]`."""
        return self.indices[(first + np.arange(num)) % self.period]

    @property
    def warm_start(self) -> int:
        """Observations that pass before the first decision."""
        return warm_start(len(self.values), self.period)

    @property
    def stride(self) -> int:
        """Observations in a decision interval."""
        return stride(self.period)

    @property
    def num_decisions(self) -> int:
        """Decisions in a walk; the last one comes after the last observation."""
        return num_decisions(len(self.values), self.period)


def window(period: int) -> int:
    """Return how many of the last observations a walk sees."""
    return max(_WINDOW, _WINDOW_SEASONS * period)


def stride(period: int) -> int:
    """Return the observations in a decision interval."""
    return max(1, period // 4)


def warm_start(length: int, period: int) -> int:
    """Return the observations that pass before the first decision."""
    first = min(max(length // 4, 3), 12)
    return first + (length - first) % stride(period)


def num_decisions(length: int, period: int) -> int:
    """Count the decisions of a walk through `length` observations.

    Example:
        >>> num_decisions(14, 1), num_decisions(66, 12)
        (12, 19)
    """
    return (length - warm_start(length, period)) // stride(period) + 1


def prepare(values: Array, period: int, season: Season = "auto") -> Prepared:
    """Prepare the observations before an origin.

    Args:
        values: At least 3, finite `[T]`; the last ones are kept, see `window`.
        period: Observations in a season; 1 for none.
        season: How it enters.
    """
    period = period if period <= MAX_PERIOD else 1
    kept = np.asarray(values, dtype=np.float64)[-window(period) :]
    scale = float(np.abs(kept).mean()) + 1e-9
    scaled = kept / scale
    is_multiplicative = season == "multiplicative" or (
        season == "auto" and bool(scaled.min() > _MULTIPLICATIVE_FROM)
    )
    is_seasonal = len(scaled) > 2 * period > 2 and bool(np.ptp(scaled) > 0.0)
    seasonality, indices = 0.0, np.ones(1) if is_multiplicative else np.zeros(1)
    if is_seasonal:
        indices, seasonality = shrunken_indices(scaled, period, is_multiplicative)
    lag = period if len(scaled) > period else 1
    ready = Prepared(
        values=scaled,
        scale=scale,
        period=period,
        indices=np.resize(indices, period),
        is_seasonal=is_seasonal,
        seasonality=seasonality,
        is_multiplicative=is_multiplicative,
        naive_error=max(float(np.abs(scaled[lag:] - scaled[:-lag]).mean()), 1e-4),
    )
    return _freed(ready)


def classically_prepared(ready: Prepared) -> Prepared:
    """Prepare the same observations as Theta and Naive2 do: a test at 90 %, plain mean ratios."""
    observed, is_factor = ready.observed, ready.is_multiplicative
    found = has_season(observed, ready.period)
    indices = np.ones(ready.period) if is_factor else np.zeros(ready.period)
    if found:
        indices = classical_indices(observed, ready.period, is_factor)
    plain = replace(
        ready, values=observed, indices=indices, is_seasonal=found, seasonality=float(found)
    )
    return _freed(plain)


def _freed(ready: Prepared) -> Prepared:
    """Take the season out of values that still have it."""
    season = ready.seasonal(0, len(ready.values))
    values = ready.values / season if ready.is_multiplicative else ready.values - season
    return replace(ready, values=values)


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
    weights = _moving_average(period)
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


def shrunken_indices(values: Array, period: int, is_multiplicative: bool) -> tuple[Array, float]:
    """Estimate seasonal indices in two passes; see the module for how.

    Args:
        values: More than two seasons `[T]`.
        period: Above 1.
        is_multiplicative: Indices are ratios around 1; else differences around 0.

    Returns:
        Indices `[period]`, the first that of `values[0]`, and the share that was not shrunk away.
    """
    weights = _moving_average(period)
    half = len(weights) // 2
    inner = values[half : len(values) - half]
    indices, _ = _one_pass(
        inner, np.convolve(values, weights, "valid"), half, period, is_multiplicative
    )
    season = indices[np.arange(len(values)) % period]
    free = values / season if is_multiplicative else values - season
    # The line through the first (and last) season reaches half a season beyond it.
    before = _line_beyond(free[:period], half)
    after = _line_beyond(free[: -period - 1 : -1], half)[::-1]
    trend = np.convolve(np.concatenate([before, free, after]), weights, "valid")
    return _one_pass(values, trend, 0, period, is_multiplicative)


def _moving_average(period: int) -> Array:
    """Return the weights of a centred moving average over a season `[period or period + 1]`."""
    if period % 2:
        return np.full(period, 1.0 / period)
    return np.concatenate([[0.5], np.ones(period - 1), [0.5]]) / period


def _line_beyond(values: Array, num: int) -> Array:
    """Extend the least squares line through `values` to `num` places before the first `[num]`."""
    places = np.arange(len(values)) - (len(values) - 1) / 2.0
    slope = float(places @ values / (places @ places))
    return np.asarray(values.mean() + slope * (places[0] - np.arange(num, 0, -1)))


def _one_pass(
    values: Array, trend: Array, first: int, period: int, is_multiplicative: bool
) -> tuple[Array, float]:
    """Average deviations from a trend by place in the season, and shrink them.

    Args:
        values: Observations `[n]`.
        trend: The trend at each `[n]`.
        first: Place of `values[0]` in the series.
        period: Above 1.
        is_multiplicative: Deviations are ratios; else differences.
    """
    deviation = values / np.maximum(trend, 1e-9) if is_multiplicative else values - trend
    place = (first + np.arange(len(values))) % period
    weight = _YEARLY_WEIGHT ** ((len(values) - 1 - np.arange(len(values))) // period)
    total = np.bincount(place, weights=weight, minlength=period)
    squares = np.bincount(place, weights=weight * weight, minlength=period)
    known = total > 0.0
    neutral = 1.0 if is_multiplicative else 0.0
    mean = np.bincount(place, weights=weight * deviation, minlength=period)
    indices = np.where(known, mean / np.where(known, total, 1.0), neutral)
    rest = deviation - indices[place]
    count = np.where(known, total**2 / np.where(known, squares, 1.0), 1.0)  # years, in effect
    chance = float(rest @ rest) / max(len(values) - period, 1) * float(np.mean(1.0 / count))
    indices = indices / indices.mean() if is_multiplicative else indices - indices.mean()
    away = indices - neutral
    spread = float(away @ away) / (period - 1)
    # James and Stein's factor for deviations from a common mean: fewer than four stay as they are.
    shrink = max(period - 3, 0) / (period - 1) * chance / max(spread, 1e-12)
    kept = 1.0 - min(shrink, 1.0)
    indices = neutral + kept * away
    return (np.maximum(indices, _SMALLEST_RATIO) if is_multiplicative else indices), kept
