"""Several seasons at once: taken out by MSTL, forecast by repeating the last of each, put back.

Weeks and days in hourly series, for instance. MSTL (Bandara, Hyndman and Bergmeir, 2021) smooths
one season after the other out of the series; what is left has none and is walked through like any
other series. Under a multiplicative model it is the logarithms that are decomposed.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError, MissingExtraError
from hpo_env.forecasting.pretrained import Pretrained
from hpo_env.forecasting.running import Forecast, forecast_all
from hpo_env.tasks.forecasting.preparation import Season

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Decomposed:
    """A series without its seasons.

    Args:
        values: What is left `[T]`.
        last: Of every season that was taken out, its last repetition, oldest first `[period]`.
        is_factor: Whether seasons multiply; they are added if not.
        notes: What a person should know.
    """

    values: Array
    last: tuple[Array, ...]
    is_factor: bool
    notes: tuple[str, ...] = ()

    def with_season(self, forecast: Array) -> Array:
        """Put the seasons into a forecast from the next observation on `[A]`."""
        season = np.zeros(len(forecast))
        for one in self.last:
            season += np.resize(one, len(forecast))
        return forecast * np.exp(season) if self.is_factor else forecast + season


def check_seasons(season_length: int | Sequence[int]) -> tuple[int, ...]:
    """Check lengths of seasons, and return them from the shortest.

    Raises:
        ConfigurationError: There is none, or one is not a whole number from 1 on; of several, from
            2 on and each once.
    """
    given = tuple(season_length) if isinstance(season_length, Sequence) else (season_length,)
    for one in given:
        if isinstance(one, bool) or not isinstance(one, int | np.integer) or one < 1:
            raise ConfigurationError(
                f"season_length must be whole numbers from 1 on; got {season_length!r}"
            )
    lengths = tuple(sorted(int(one) for one in given))
    if not lengths or (len(lengths) > 1 and (lengths[0] == 1 or len(set(lengths)) < len(lengths))):
        raise ConfigurationError(
            "season_length must be one number, or several from 2 on, each once; got "
            f"{season_length!r}"
        )
    return lengths


def decompose(values: Array, seasons: Sequence[int], season: Season = "auto") -> Decomposed:
    """Take several seasons out of a series.

    Args:
        values: Observations in order, finite; above 0 under a multiplicative model `[T]`.
        seasons: Their lengths from the shortest; those of which the series does not hold more than
            two are left in, with a note.
        season: "multiplicative" decomposes logarithms.

    Raises:
        MissingExtraError: statsmodels is not installed.
    """
    fitting = [one for one in seasons if len(values) > 2 * one]
    notes = tuple(
        f"{len(values)} observations are too few for a season of {one}"
        for one in seasons
        if one not in fitting
    )
    is_factor = season == "multiplicative"
    if not fitting:
        return Decomposed(values=values, last=(), is_factor=is_factor, notes=notes)
    found = _mstl(np.log(values) if is_factor else values, fitting)
    total = found.sum(axis=0)
    return Decomposed(
        values=values / np.exp(total) if is_factor else values - total,
        last=tuple(row[-period:] for row, period in zip(found, fitting, strict=True)),
        is_factor=is_factor,
        notes=notes,
    )


def forecast_seasons(
    series: Sequence[Array],
    seasons: tuple[int, ...],
    horizon: int,
    fitted: Pretrained,
    *,
    levels: Sequence[float] = (),
    num_threads: int | None = None,
    season: Season = "auto",
    initial: Mapping[str, float] = MappingProxyType({}),
) -> list[Forecast]:
    """Forecast many series of the same seasons; with one season this is `forecast_all`.

    Args:
        series: Observations in order, each what `cleaned` returned `[T]`.
        seasons: What `check_seasons` returned.
        horizon: Steps ahead.
        fitted: The policy and the quantiles.
        levels: Of intervals, in percent.
        num_threads: One a core when None.
        season: How the season enters.
        initial: What `check_initial` returned.
    """
    if len(seasons) == 1:
        periods = list(seasons) * len(series)
        return forecast_all(
            series,
            periods,
            horizon,
            fitted,
            levels=levels,
            num_threads=num_threads,
            season=season,
            initial=initial,
        )
    parts = [decompose(values, seasons, season) for values in series]
    left = forecast_all(
        [part.values for part in parts],
        [1] * len(parts),
        horizon,
        fitted,
        levels=levels,
        num_threads=num_threads,
        initial=initial,
    )
    return [
        replace(
            one,
            mean=part.with_season(one.mean),
            bounds={
                level: (part.with_season(low), part.with_season(high))
                for level, (low, high) in one.bounds.items()
            },
            notes=(*part.notes, *one.notes),
        )
        for one, part in zip(left, parts, strict=True)
    ]


def _mstl(values: Array, periods: list[int]) -> Array:
    """Return the seasonal components `[len(periods), T]`."""
    try:
        seasonal = importlib.import_module("statsmodels.tsa.seasonal")
    except ImportError as error:
        raise MissingExtraError(
            f"several seasons need the package 'statsmodels', which cannot be imported ({error}); "
            'install it with: pip install "hpo-control[forecast]"'
        ) from error
    with warnings.catch_warnings():  # of divisions in series that do not move
        warnings.simplefilter("ignore")
        found = seasonal.MSTL(values, periods=periods).fit().seasonal
    return np.asarray(found, dtype=np.float64).reshape(len(values), len(periods)).T
