"""Two intervals for every number, because there are two questions.

Would it come out the same with new runs *on these data sets*? Units of repetition are drawn anew
within each data set (stratified bootstrap, Agarwal et al. 2021, section 4). Would it come out the
same *on new data sets*? Whole data sets are drawn anew, each with all its runs (cluster bootstrap;
Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8, recommend not to
draw within clusters a second time). The second interval is usually wider; with fewer than some ten
data sets even that one is narrower than it should be (Cameron, Gelbach and Miller, 2008).

A resample is written as how often it holds each run. Statistics are functions of values and counts,
so that one drawing serves every opponent and every statistic of a suite.

Axes: `E` runs, `R` resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.seeding import stream

from .intervals import Interval, collapse_strata

Array = NDArray[np.float64]
Statistic = Callable[[Array, Array], Array]
"""Computes a statistic of values `[E]` in each resample `[R]`, from counts `[R, E]`."""

_NUM_RESAMPLES = 5_000
_TAILS = (0.025, 0.975)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimate with its two 95 % intervals.

    Args:
        runs: For new runs on these data sets.
        data_sets: For new data sets of their kind. Both have the same estimate; an interval is NaN
            where there is nothing to draw from: one unit, or one data set.
    """

    runs: Interval
    data_sets: Interval

    @property
    def value(self) -> float:
        """The estimate itself."""
        return self.runs.estimate


@dataclass(frozen=True, kw_only=True, eq=False)
class Resamples:
    """How often each resample holds each run.

    Args:
        runs: Drawn within data sets `[R, E]`; None with one unit.
        data_sets: Whole data sets drawn `[R, E]`; None with one data set.
    """

    runs: Array | None
    data_sets: Array | None

    @classmethod
    def draw(cls, data_sets: NDArray[Any], units: NDArray[Any], *, seed: int = 0) -> Resamples:
        """Draw resamples.

        Args:
            data_sets: What each run belongs to `[E]`.
            units: What is repeated independently `[E]`; runs of a unit go together. Data sets of
                one unit are pooled, as in `statistics.bootstrap_mean`.
            seed: Of the drawing.
        """
        one_unit, one_set = len(np.unique(units)) == 1, len(np.unique(data_sets)) == 1
        strata = collapse_strata(data_sets, units)
        nothing = np.zeros(len(units), dtype=np.int64)
        return cls(
            runs=None if one_unit else _counts(strata, units, stream(seed, "bootstrap")),
            data_sets=(None if one_set else _counts(nothing, data_sets, stream(seed, "data sets"))),
        )

    def estimate(self, values: Array, statistic: Statistic | None = None) -> Estimate:
        """Return a statistic of values `[E]`, the mean by default, with its intervals."""
        compute = mean if statistic is None else statistic
        point = float(compute(values, np.ones((1, len(values))))[0])
        return Estimate(
            runs=_interval(values, self.runs, compute, point),
            data_sets=_interval(values, self.data_sets, compute, point),
        )


def _counts(strata: NDArray[Any], units: NDArray[Any], rng: np.random.Generator) -> Array:
    """Draw units within strata, and count how often each run is drawn `[R, E]`."""
    counts = np.zeros((_NUM_RESAMPLES, len(units)))
    for stratum in np.unique(strata):
        inside = np.flatnonzero(strata == stratum)
        _, unit = np.unique(units[inside], return_inverse=True)
        num_units = int(unit.max()) + 1
        drawn = rng.integers(num_units, size=(_NUM_RESAMPLES, num_units))
        cells = drawn + num_units * np.arange(_NUM_RESAMPLES)[:, None]
        often = np.bincount(cells.ravel(), minlength=_NUM_RESAMPLES * num_units)
        counts[:, inside] = often.reshape(_NUM_RESAMPLES, num_units)[:, unit]
    return counts


def _interval(values: Array, counts: Array | None, statistic: Statistic, point: float) -> Interval:
    if counts is None:
        return Interval(estimate=point, low=float("nan"), high=float("nan"))
    # Values that were computed, rather than points between them: a censored one has no between.
    low, high = np.quantile(statistic(values, counts), _TAILS, method="inverted_cdf")
    return Interval(estimate=point, low=float(low), high=float(high))


def mean(values: Array, counts: Array) -> Array:
    """Compute means `[R]` of values `[E]` that occur as often as counts `[R, E]` say."""
    means: Array = counts @ values / counts.sum(axis=1)
    return means


def interquartile_mean(values: Array, counts: Array) -> Array:
    """Compute interquartile means `[R]`; `statistics.interquartile_mean` of each resample.

    Example:
        >>> interquartile_mean(np.array([0.0, 1.0, 2.0, 99.0]), np.ones((1, 4))).tolist()
        [1.5]
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[:, order], axis=1)
    total = reached[:, -1:]
    cut = np.floor(0.25 * total)
    # How much of each value's share of the ranks lies in the middle half.
    inside = np.diff(np.clip(reached, cut, total - cut), axis=1, prepend=cut)
    means: Array = inside @ values[order] / inside.sum(axis=1)
    return means


def median(values: Array, counts: Array) -> Array:
    """Compute lower medians `[R]`: the least value that half of the values do not exceed.

    Always one of the values, so that it makes sense of values that are known to be large only.

    Example:
        >>> median(np.array([3.0, 1.0, np.inf, 2.0]), np.ones((1, 4))).tolist()
        [2.0]
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[:, order], axis=1)
    place = (2.0 * reached >= reached[:, -1:]).argmax(axis=1)
    medians: Array = values[order][place]
    return medians
