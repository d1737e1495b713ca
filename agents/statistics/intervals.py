"""Means of paired runs, and how sure they are.

Follows Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(2021): interquartile means, stratified bootstrap intervals and the probability of improvement, here
on differences of pairs, because all opponents ran on the same lanes.

Axes: `E` runs, `U` units of independent repetition, `R` bootstrap resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hpo_env.seeding import stream

Array = NDArray[np.float64]

TIE = 0.01
"""Log losses this close, one per cent, are a tie."""

_NUM_RESAMPLES = 5_000
_COVERAGE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and its 95 % interval."""

    estimate: float
    low: float
    high: float


def interquartile_mean(values: Array) -> float:
    """Return the mean of the middle half of the values `[E]`.

    Example:
        >>> interquartile_mean(np.array([0.0, 1.0, 2.0, 99.0]))
        1.5
    """
    return float(stats.trim_mean(values, 0.25))


def bootstrap_mean(
    values: Array, strata: NDArray[Any], units: NDArray[Any], *, seed: int = 0
) -> Interval:
    """Return the mean of the values and its stratified bootstrap percentile interval.

    Within each stratum its units are drawn with replacement, a unit with all its values. The
    strata themselves stay: the interval is about new runs on these data sets, and says nothing of
    data sets that are not here. A stratum of one unit would add no width at all, so strata of one
    unit are pooled, which makes the interval wider rather than narrower (collapsed strata, Cochran,
    "Sampling Techniques", 1977, section 5A.12).

    Args:
        values: `[E]`.
        strata: What each value belongs to `[E]`: the data set.
        units: What is repeated independently `[E]`; values of a unit go together.
        seed: Of the resampling.

    Returns:
        The mean and its interval; the interval is NaN when there is one unit in all.

    Example:
        >>> strata, units = np.array(["a"] * 4), np.array([1, 1, 2, 2])
        >>> bootstrap_mean(np.array([0.0, 2.0, 4.0, 6.0]), strata, units)
        Interval(estimate=3.0, low=1.0, high=5.0)
    """
    if len(np.unique(units)) == 1:
        return Interval(estimate=float(values.mean()), low=float("nan"), high=float("nan"))
    strata = collapse_strata(strata, units)
    rng = stream(seed, "bootstrap")
    sums, counts = np.zeros(_NUM_RESAMPLES), np.zeros(_NUM_RESAMPLES)
    for stratum in np.unique(strata):
        inside = strata == stratum
        _, unit = np.unique(units[inside], return_inverse=True)
        unit_sums = np.bincount(unit, weights=values[inside])  # [U]
        unit_counts = np.bincount(unit).astype(np.float64)
        drawn = rng.integers(len(unit_sums), size=(_NUM_RESAMPLES, len(unit_sums)))  # [R, U]
        sums += unit_sums[drawn].sum(axis=1)
        counts += unit_counts[drawn].sum(axis=1)
    tail = (1.0 - _COVERAGE) / 2.0
    low, high = np.quantile(sums / counts, [tail, 1.0 - tail])
    return Interval(estimate=float(values.mean()), low=float(low), high=float(high))


def collapse_strata(strata: NDArray[Any], units: NDArray[Any]) -> NDArray[np.int64]:
    """Number the strata, those of one unit sharing a number with another one."""
    _, numbers = np.unique(strata, return_inverse=True)
    numbers = numbers.astype(np.int64)
    num_units = np.array(
        [len(np.unique(units[numbers == k])) for k in range(int(numbers.max()) + 1)]
    )
    single = np.flatnonzero(num_units == 1)
    if not len(single):
        return numbers
    # A lone stratum of one unit joins the largest of the others.
    host = single[0] if len(single) > 1 else num_units.argmax()
    return np.where(np.isin(numbers, single), host, numbers)


def probability_of_improvement(differences: Array) -> float:
    """Return the share of pairs `[E]` with a positive difference; an exact tie counts half.

    Example:
        >>> probability_of_improvement(np.array([0.3, 0.1, 0.0, -0.2]))
        0.625
    """
    return float(np.mean(0.5 * (np.sign(differences) + 1.0)))
