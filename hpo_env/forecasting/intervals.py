"""Conformal intervals: realised errors give each series its scale, other series the quantile.

On its way through a series the forecaster has made forecasts of every horizon whose observations
have come; the mean size of their errors is the series' own scale at that horizon. Late ones count
more: the early ones are of settings that were not chosen yet. How many of these
scales the error after the last observation exceeds one time in twenty is read off series that no
policy was chosen on (Vovk, Gammerman and Shafer, Algorithmic learning in a random world, 2005): no
distribution is assumed, only that a user's series are to the forecaster what those were. A scale of
few errors says less than one of many, so series of short and of long histories have quantiles of
their own (Mondrian conformal prediction: the same book, chapter 4).

Axes: `N` series, `A` steps ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import is_number, listed
from hpo_env.errors import ConfigurationError
from hpo_env.tasks.forecasting.layout import weight_of_recent

Array = NDArray[np.float64]

_GROWTH = 0.6  # of errors with the horizon, where none that long were made: a random walk has 0.5
_PRIOR_ERRORS = 4.0  # weight of the growth from nearer errors against a step's own
_NEIGHBOURS = 1
"""Steps on either side whose scores count too: neighbours are alike, quantiles noisy."""
_FEWEST_SCORES = 20
LEVELS = np.array([1.0, *range(5, 91, 5), 92.0, 94.0, 95.0, 96.0, 97.0, 98.0, 98.5, 99.0, 99.5])
"""Percentages at which quantiles are kept."""
HISTORIES = (12, 24)
"""From how many realised one-step errors on a series has the quantiles of longer histories."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantiles:
    """Quantiles of the size of errors in scales, by season and steps ahead.

    Args:
        table: Season length (1 for none) to quantiles `[A, len(LEVELS)]` of steps 1 to A; those
            beyond have the last.
        longer: Quantiles of series of which so many one-step errors or more are known, from the
            fewest on; a season that they lack has those of shorter histories.
    """

    table: Mapping[int, Array]
    longer: Mapping[int, Quantiles] = field(default_factory=dict)

    def of(self, period: int, level: float, num_ahead: int, num_errors: int = 0) -> Array:
        """Return the factor on the scale `[num_ahead]` that covers `level` percent.

        A season that is not in the table has the quantiles of the nearest that is.

        Args:
            period: Observations in a season, 1 for none.
            level: In percent.
            num_ahead: Steps ahead.
            num_errors: One-step errors that are known of the series.
        """
        nearest = min(self.table, key=lambda known: abs(np.log(known / period)))
        rows = self.table[nearest]
        for fewest, quantiles in self.longer.items():
            if num_errors >= fewest:
                rows = quantiles.table.get(nearest, rows)
        steps = np.minimum(np.arange(num_ahead), len(rows) - 1)
        return np.array([np.interp(level, LEVELS, rows[step]) for step in steps])

    def history(self, num_errors: int) -> int:
        """Return the class of a series: how many thresholds of `longer` it has reached."""
        return sum(num_errors >= fewest for fewest in self.longer)

    @classmethod
    def fit(
        cls,
        periods: NDArray[np.int64],
        scores: Array,
        num_errors: NDArray[np.floating[Any]] | None = None,
    ) -> Quantiles:
        """Read quantiles off the scores of series.

        Args:
            periods: Season of each `[N]`.
            scores: Size of the error in scales `[N, A]`; NaN where there was none.
            num_errors: One-step errors that are known of each `[N]`, which tell short histories
                from long ones (`HISTORIES`); None takes all together.
        """
        if num_errors is None:
            return cls(table=_tables(periods, scores))
        history = np.searchsorted(HISTORIES, num_errors, side="right")
        parts = {
            fewest: cls(table=_tables(periods[history == k], scores[history == k]))
            for k, fewest in enumerate((0, *HISTORIES))
        }
        # A season that short histories lack has the quantiles of all.
        whole = _tables(periods, scores) | dict(parts.pop(0).table)
        return cls(table=whole, longer=parts)

    def to_json(self) -> dict[str, Any]:
        """Describe the quantiles in plain data, to four digits."""
        found: dict[str, Any] = {
            str(period): [[float(f"{value:.4g}") for value in row] for row in rows]
            for period, rows in self.table.items()
        }
        if self.longer:
            found["longer"] = {str(fewest): q.to_json() for fewest, q in self.longer.items()}
        return found

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Quantiles:
        """Build what `to_json` described.

        Raises:
            ValueError: A row is not as long as `LEVELS`.
        """
        table = {int(period): np.array(rows) for period, rows in data.items() if period != "longer"}
        for period, rows in table.items():
            if rows.ndim != 2 or rows.shape[1] != len(LEVELS):
                raise ValueError(
                    f"season {period} must have rows of {len(LEVELS)} quantiles; got shape "
                    f"{rows.shape}. Write the file anew with benchmarks/forecasting_intervals.py"
                )
        longer = {int(k): cls.from_json(part) for k, part in data.get("longer", {}).items()}
        return cls(table=table, longer=longer)


def _tables(periods: NDArray[np.int64], scores: Array) -> dict[int, Array]:
    """Return the quantiles `[A, len(LEVELS)]` of every season of which enough is known."""
    table = {}
    for period in np.unique(periods):
        of_season, rows = scores[periods == period], []
        for step in range(scores.shape[1]):
            if np.isfinite(of_season[:, step]).sum() < _FEWEST_SCORES:
                break
            near = of_season[:, max(0, step - _NEIGHBOURS) : step + _NEIGHBOURS + 1]
            known = np.sort(near[np.isfinite(near)])
            # The conformal rank: the ceiling of (n + 1) p of n.
            ranks = np.ceil((len(known) + 1) * LEVELS / 100.0).astype(int)
            rows.append(known[np.minimum(ranks, len(known)) - 1])
        if rows:
            table[int(period)] = np.array(rows)
    return table


def error_scale(errors: Array, num_errors: Array) -> Array:
    """Turn the realised errors of a series into a scale for every horizon.

    A step of which few errors are known leans on the step before it and a usual growth; no step has
    a smaller scale than the one before.

    Args:
        errors: Mean sizes, late ones counting more `[N, A]`, NaN where there is none.
        num_errors: How many each is the mean of `[N, A]`.

    Returns:
        Scales `[N, A]`; 0 where a series never moved.
    """
    scale = np.zeros_like(errors)
    sizes = np.nan_to_num(errors)
    scale[:, 0] = sizes[:, 0]
    weight = weight_of_recent(num_errors)
    for step in range(1, errors.shape[1]):
        expected = scale[:, step - 1] * ((step + 1.0) / step) ** _GROWTH
        count = weight[:, step]
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
