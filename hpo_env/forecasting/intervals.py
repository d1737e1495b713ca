"""Conformal intervals: realised errors give each series its scale, other series the quantile.

On its way through a series the forecaster has made forecasts of every horizon whose observations
have come; the mean size of their errors is the series' own scale at that horizon. How many of these
scales the error after the last observation exceeds one time in twenty is read off series that no
policy was chosen on (Vovk, Gammerman and Shafer, Algorithmic learning in a random world, 2005): no
distribution is assumed, only that a user's series are to the forecaster what those were.

Axes: `N` series, `A` steps ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import is_number, listed
from hpo_env.errors import ConfigurationError

Array = NDArray[np.float64]

_GROWTH = 0.6  # of errors with the horizon, where none that long were made: a random walk has 0.5
_PRIOR_ERRORS = 4.0  # weight of the growth from nearer errors against a step's own
LEVELS = np.concatenate([np.arange(1, 99), [98.5, 99.0, 99.5]])
"""Percentages at which quantiles are kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantiles:
    """Quantiles of the size of errors in scales, by season and steps ahead.

    Args:
        table: Season length (1 for none) to quantiles `[A, len(LEVELS)]` of steps 1 to A; those
            beyond have the last.
    """

    table: Mapping[int, Array]

    def of(self, period: int, level: float, num_ahead: int) -> Array:
        """Return the factor on the scale `[num_ahead]` that covers `level` percent.

        A season that is not in the table has the quantiles of the nearest that is.
        """
        nearest = min(self.table, key=lambda known: abs(np.log(known / period)))
        rows = self.table[nearest]
        steps = np.minimum(np.arange(num_ahead), len(rows) - 1)
        return np.array([np.interp(level, LEVELS, rows[step]) for step in steps])

    @classmethod
    def fit(cls, periods: NDArray[np.int64], scores: Array) -> Quantiles:
        """Read quantiles off the scores of series.

        Args:
            periods: Season of each `[N]`.
            scores: Size of the error in scales `[N, A]`; NaN where there was none.
        """
        table = {}
        for period in np.unique(periods):
            rows = []
            for column in scores[periods == period].T:
                known = np.sort(column[np.isfinite(column)])
                if len(known) < 20:
                    break
                # The conformal rank: the ceiling of (n + 1) p of n.
                ranks = np.ceil((len(known) + 1) * LEVELS / 100.0).astype(int)
                rows.append(known[np.minimum(ranks, len(known)) - 1])
            if rows:
                table[int(period)] = np.array(rows)
        return cls(table=table)

    def to_json(self) -> dict[str, list[list[float]]]:
        """Describe the table in plain data."""
        return {str(period): rows.round(4).tolist() for period, rows in self.table.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Sequence[Sequence[float]]]) -> Quantiles:
        """Build what `to_json` described."""
        return cls(table={int(period): np.array(rows) for period, rows in data.items()})


def error_scale(errors: Array, num_errors: Array) -> Array:
    """Turn the realised errors of a series into a scale for every horizon.

    A step of which few errors are known leans on the step before it and a usual growth; no step has
    a smaller scale than the one before.

    Args:
        errors: Mean sizes `[N, A]`, NaN where there is none.
        num_errors: How many each is the mean of `[N, A]`.

    Returns:
        Scales `[N, A]`; 0 where a series never moved.
    """
    scale = np.zeros_like(errors)
    sizes = np.nan_to_num(errors)
    scale[:, 0] = sizes[:, 0]
    for step in range(1, errors.shape[1]):
        expected = scale[:, step - 1] * ((step + 1.0) / step) ** _GROWTH
        count = num_errors[:, step]
        own = (count * sizes[:, step] + _PRIOR_ERRORS * expected) / (count + _PRIOR_ERRORS)
        scale[:, step] = np.maximum(own, scale[:, step - 1])
    return scale


def check_levels(levels: Sequence[float] | None) -> tuple[float, ...]:
    """Check the levels of intervals, in percent.

    Raises:
        ConfigurationError: They are no list, or one lies outside of 1 to 99, such as a share in
            place of a percentage.
    """
    checked = tuple(listed("level", levels))
    for level in checked:
        if not (is_number(level) and 1.0 <= level <= 99.0):
            raise ConfigurationError(f"levels are percentages from 1 to 99; got {level!r}")
    return checked
