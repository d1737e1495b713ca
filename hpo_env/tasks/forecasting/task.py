"""The task of forecasting: which part of which series is walked through.

Axes: `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo_env.tasks.base import Task


@dataclass(frozen=True, kw_only=True)
class ForecastingTask(Task):
    """A walk through a part of a series.

    Args:
        source: A name of `series.SOURCES`, or the path of a file.
        series: Its name there.
        start: First observation that is walked through.
        origin: First observation that is to be forecast.
        horizon: How many are.
        period: Observations in a season that the walk knows of, 1 for none.
        is_adjusted: Whether the series is freed of its season first; the period is 1 then.
        frequency: What a person calls it.
        constants: What is good on average for the season: the loss is relative to these `[H]`.
    """

    source: str
    series: str
    start: int
    origin: int
    horizon: int
    period: int
    is_adjusted: bool
    frequency: str
    constants: tuple[float, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        """The frequency: what settings depend on most."""
        return {"frequency": self.frequency}
