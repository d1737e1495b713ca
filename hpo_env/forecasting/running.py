"""Many series in, forecasts out: cleaning, walks in chunks over all cores, intervals.

Axes: `N` series, `A` steps ahead, `T` decisions, `H` hyperparameters.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import by_name, is_number
from hpo_env.errors import ConfigurationError, DatasetError
from hpo_env.forecasting.intervals import error_scale
from hpo_env.forecasting.pretrained import Pretrained
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.tasks.forecasting.batch import prepare_all
from hpo_env.tasks.forecasting.preparation import MAX_PERIOD, Season
from hpo_env.tasks.forecasting.starts import start_of
from hpo_env.tasks.forecasting.steering import kernel_or_twin, steer_batch

Array = NDArray[np.float64]

_CHUNK = 1024  # walks side by side: enough that NumPy's own cost is nothing, few megabytes
_SHORTEST = 5
_NOTED_MISSING = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast:
    """The forecast of one series.

    Args:
        mean: `[A]`.
        bounds: Lower and upper end of the interval of each level, `[A]` each.
        course: Values of the hyperparameters after every decision `[T, H]`; empty where the series
            was too short or constant.
        notes: What a person should know about how it came to be.
    """

    mean: Array
    bounds: dict[float, tuple[Array, Array]] = field(default_factory=dict)
    course: Array
    notes: tuple[str, ...] = ()


def forecast_all(
    series: Sequence[Array],
    periods: Sequence[int],
    horizon: int,
    fitted: Pretrained,
    *,
    levels: Sequence[float] = (),
    num_threads: int | None = None,
    season: Season = "auto",
    initial: Mapping[str, float] = MappingProxyType({}),
) -> list[Forecast]:
    """Forecast many series, each as if it were alone.

    Args:
        series: Observations in order, each what `cleaned` returned `[T]`.
        periods: Observations in a season of each, 1 for none.
        horizon: `A`, at least 1.
        fitted: The policy and the quantiles.
        levels: Of intervals, in percent.
        num_threads: One a core when None.
        season: How the season enters.
        initial: What `check_initial` returned.
    """
    check_horizon(horizon)
    found: list[Forecast | None] = [None] * len(series)
    walking = []
    for place, (values, period) in enumerate(zip(series, periods, strict=True)):
        found[place] = _without_a_walk(values, horizon, levels, fitted)
        if found[place] is None:
            walking.append((place, values, period))
    walking.sort(key=lambda entry: len(entry[1]))  # alike in length, so that few wait for others
    chunks = [walking[k : k + _CHUNK] for k in range(0, len(walking), _CHUNK)]
    threads = min(num_threads or os.cpu_count() or 1, len(chunks))

    def forecast_one(chunk: Sequence[tuple[int, Array, int]]) -> list[Forecast]:
        return _forecast_chunk(chunk, horizon, levels, fitted, season, initial)

    with _mapping(threads) as mapped:
        for chunk, forecasts in zip(chunks, mapped(forecast_one, chunks), strict=True):
            for (place, _, _), forecast in zip(chunk, forecasts, strict=True):
                found[place] = forecast
    return [forecast for forecast in found if forecast is not None]


@contextmanager
def _mapping(num_threads: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Map over threads, or here where one is enough: a thread costs a fifth of a series."""
    if num_threads <= 1:
        yield map
        return
    with ThreadPoolExecutor(max_workers=num_threads) as pool:
        yield pool.map


def check_horizon(horizon: int) -> None:
    """Check how many steps are to be forecast.

    Raises:
        ConfigurationError: It is not a positive whole number.
    """
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise ConfigurationError(f"the horizon must be a whole number from 1 on; got {horizon!r}")


def check_initial(initial: Any, space: HyperparameterSpace) -> dict[str, float]:
    """Check settings that are in force until the first decision; empty where there are none.

    Args:
        initial: Values by name, or None.
        space: The hyperparameters of the policy.

    Raises:
        UnknownNameError: There is no hyperparameter of a name.
        ConfigurationError: They are no mapping, or a value lies outside of its range.
    """
    checked = by_name("initial", initial)
    for name, value in checked.items():
        known = space.hyperparameters[space.index(name)]
        if not (is_number(value) and known.low <= value <= known.high):
            raise ConfigurationError(
                f"initial: {name} must lie in [{known.low:g}, {known.high:g}]; got {value!r}"
            )
    return checked


def cleaned(values: Any, period: int, season: Season = "auto") -> tuple[Array, tuple[str, ...]]:
    """Check the observations of a series, and fill those that are missing.

    A missing one takes the value a season before it (or after it, at the start); without a season
    it lies on the line between its neighbours. Missing ones at the start are left out.

    Args:
        values: Observations in order, NaN where one is missing.
        period: Observations in a season, 1 for none.
        season: How the season enters.

    Returns:
        Finite observations `[T]`, and notes.

    Raises:
        DatasetError: There is no observation, one is infinite, or they are no numbers; or one is
            not positive and the model is multiplicative.
    """
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"the observations must be numbers: {error}") from error
    if found.ndim != 1:
        raise DatasetError(f"the observations must be one row; got shape {found.shape}")
    if np.isinf(found).any():
        raise DatasetError(f"observation {int(np.flatnonzero(np.isinf(found))[0])} is infinite")
    if season == "multiplicative" and (found <= 0.0).any():
        first = int(np.flatnonzero(found <= 0.0)[0])
        raise DatasetError(
            f"a multiplicative season needs observations above 0; observation {first} is "
            f"{found[first]:g}. Choose season='auto' or 'additive'"
        )
    known = np.flatnonzero(np.isfinite(found))
    if not len(known):
        raise DatasetError("there is no observation")
    found = found[known[0] :].copy()
    missing = np.flatnonzero(np.isnan(found))
    if not len(missing):
        return found, ()
    share = len(missing) / len(found)
    for place in missing:
        if place >= period > 1:
            found[place] = found[place - period]
    left = np.isnan(found)
    places = np.arange(len(found))
    found[left] = np.interp(places[left], places[~left], found[~left])
    notes = (f"{share:.0%} of the observations were missing",) if share > _NOTED_MISSING else ()
    return found, notes


def _without_a_walk(
    values: Array, horizon: int, levels: Sequence[float], fitted: Pretrained
) -> Forecast | None:
    """Forecast what is too short or does not move by its last value; None for all else."""
    is_constant = bool(np.ptp(values) == 0.0)
    if len(values) >= _SHORTEST and not is_constant:
        return None
    notes: tuple[str, ...] = ()
    size = 0.0
    if not is_constant:
        size = float(np.abs(np.diff(values)).mean())
    if len(values) < _SHORTEST:
        notes = (f"{len(values)} observations are too few: the last value is repeated",)
    mean = np.full(horizon, values[-1])
    scale = size * np.sqrt(np.arange(1.0, horizon + 1.0))
    return Forecast(
        mean=mean,
        bounds=_bounds(mean[None], scale[None], [1], [0], levels, fitted)[0],
        course=np.zeros((0, len(fitted.policy.space))),
        notes=notes,
    )


def _forecast_chunk(
    chunk: Sequence[tuple[int, Array, int]],
    horizon: int,
    levels: Sequence[float],
    fitted: Pretrained,
    season: Season,
    initial: Mapping[str, float],
) -> list[Forecast]:
    kernel = kernel_or_twin()
    periods, notes = [], []
    for _, values, period in chunk:
        known, note = _known_season(len(values), period)
        periods.append(known)
        notes.append(note)
    series = [values for _, values, _ in chunk]
    batch = prepare_all(series, periods, season, kernel)
    starts = {period: start_of(period) for period in set(periods)}
    start = np.array([starts[period] for period in periods])
    own, space = start.copy(), fitted.policy.space
    for name, value in initial.items():
        own[:, space.index(name)] = value
    steered = steer_batch(
        batch,
        space,
        [fitted.policy],
        num_ahead=horizon,
        initial=own,
        start=start,
        kernel=kernel,
    )
    scales = error_scale(steered.recent_errors, steered.num_errors)
    known = steered.num_errors[:, 0].astype(int).tolist()
    bounds = _bounds(steered.forecasts, scales, periods, known, levels, fitted)
    return [
        Forecast(mean=mean, bounds=ends, course=course[:num], notes=note)
        for mean, ends, course, num, note in zip(
            steered.forecasts,
            bounds,
            steered.course,
            batch.num_decisions.tolist(),
            notes,
            strict=True,
        )
    ]


def _known_season(length: int, period: int) -> tuple[int, tuple[str, ...]]:
    """Return the season that a series of this length can have, and notes where it is another."""
    if period > MAX_PERIOD:
        return 1, (f"a season of {period} is longer than {MAX_PERIOD}: taken as none",)
    if period > 1 and length < 2 * period + 1:
        return 1, (f"{length} observations are too few for a season of {period}",)
    return period, ()


def _bounds(
    means: Array,
    scales: Array,
    periods: Sequence[int],
    num_errors: Sequence[int],
    levels: Sequence[float],
    fitted: Pretrained,
) -> list[dict[float, tuple[Array, Array]]]:
    """Return the ends of the intervals of every series, by level.

    Args:
        means: Forecasts `[N, A]`.
        scales: Of the errors `[N, A]`.
        periods: Observations in a season `[N]`.
        num_errors: One-step errors that are known of each `[N]`.
        levels: In percent.
        fitted: The quantiles.
    """
    quantiles, ends = fitted.quantiles, []
    kinds = [(p, quantiles.history(n)) for p, n in zip(periods, num_errors, strict=True)]
    one_of_each = dict(zip(kinds, num_errors, strict=True))
    for level in levels:
        known = {
            kind: quantiles.of(kind[0], level, means.shape[1], num)
            for kind, num in one_of_each.items()
        }
        width = np.array([known[kind] for kind in kinds]) * scales
        ends.append(zip(means - width, means + width, strict=True))
    if not levels:
        return [{} for _ in periods]
    return [dict(zip(levels, of_one, strict=True)) for of_one in zip(*ends, strict=True)]
