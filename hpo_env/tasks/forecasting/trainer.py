"""Runs N walks at once, on the kernel or on its NumPy twin.

Axes: `N` lanes, `n` of them, `S` columns of the state, `H` hyperparameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.base import Task, Trainer
from hpo_env.tasks.forecasting import walk
from hpo_env.tasks.forecasting.batch import Batch
from hpo_env.tasks.forecasting.layout import (
    FACTS,
    HYPERPARAMETERS,
    SERIES_LENGTH,
    SLICES,
    STATE_SIZE,
)
from hpo_env.tasks.forecasting.native.kernel import Kernel
from hpo_env.tasks.forecasting.preparation import Prepared, Season, classical_indices, prepare
from hpo_env.tasks.forecasting.series import load_source
from hpo_env.tasks.forecasting.task import ForecastingTask
from hpo_env.telemetry import Telemetry

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_NEWEST = 0.25  # weight of the latest origin in q: one origin's error alone says little
_AGE, _LOG_Q = SLICES["age"].start, SLICES["log_q"].start
_INTERVAL_ERROR, _INTERVAL_COUNT = (
    SLICES["interval_error"].start,
    SLICES["interval_count"].start,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Walk:
    """A prepared series and what comes after its origin.

    Args:
        prepared: The observations before the origin.
        future: Those after it, on the same scale and without the season; empty where
            nobody knows them.
    """

    prepared: Prepared
    future: Array


def walk_of(values: Array, period: int, future: Array, season: Season = "auto") -> Walk:
    """Prepare observations for a walk; only those before the origin count in the preparation.

    Args:
        values: Before the origin `[T]`.
        period: Observations in a season, 1 for none.
        future: After the origin, as they were measured; may be empty.
        season: How the season enters.
    """
    prepared = prepare(values, period, season)
    indices = prepared.seasonal(len(prepared.values), len(future))
    scaled = future / prepared.scale
    free = scaled / indices if prepared.is_multiplicative else scaled - indices
    return Walk(prepared=prepared, future=free)


def walk_of_task(task: ForecastingTask) -> Walk:
    """Prepare the walk of a task; what was prepared once is kept."""
    t = task
    return _walk_of_task(t.source, t.series, t.start, t.origin, t.horizon, t.period, t.is_adjusted)


@lru_cache(maxsize=65_536)
def _walk_of_task(
    source: str, name: str, start: int, origin: int, horizon: int, period: int, is_adjusted: bool
) -> Walk:
    series = load_source(source)[name]
    values = series.values
    if is_adjusted:
        indices = classical_indices(values[:origin], series.period, is_multiplicative=True)
        values = values / indices[np.arange(len(values)) % series.period]
    return walk_of(values[start:origin], period, values[origin : origin + horizon])


class Walks:
    """The arrays of N walks, and what is done to them: for the trainer and for deployment.

    Args:
        num_lanes: `N`.
        kernel: None runs the NumPy twin.
    """

    def __init__(self, num_lanes: int, kernel: Kernel | None) -> None:
        self.kernel = kernel
        self.state = np.zeros((num_lanes, STATE_SIZE))
        self.facts = np.zeros((num_lanes, len(FACTS)), dtype=np.int64)
        self.facts[:, FACTS.index("period")] = 1
        self.facts[:, FACTS.index("length")] = 1  # a logarithm is taken
        self.values = np.zeros((num_lanes, len(HYPERPARAMETERS)))
        self.values[:, HYPERPARAMETERS.index("lags")] = 1.0
        self.values[:, HYPERPARAMETERS.index("ridge")] = 1.0
        self.series = np.zeros((num_lanes, SERIES_LENGTH))
        self.indices = np.zeros((num_lanes, SERIES_LENGTH))
        self.naive_error = np.ones(num_lanes)
        self.horizon = np.ones(num_lanes, dtype=np.int64)

    def start(self, lanes: Ints, walks: list[Walk], horizons: list[int], values: Array) -> None:
        """Put walks into lanes and take in their warm start under values `[n, H]`."""
        for lane, one, horizon in zip(lanes, walks, horizons, strict=True):
            ready, length = one.prepared, len(one.prepared.values)
            whole = length + len(one.future)
            self.series[lane, :length] = ready.values
            self.series[lane, length:whole] = one.future
            self.indices[lane, :whole] = ready.seasonal(0, whole)
            self.naive_error[lane] = ready.naive_error
            self.horizon[lane] = horizon
            facts = {
                "length": length,
                "num_future": len(one.future),
                "period": ready.period,
                "is_seasonal": ready.is_seasonal,
                "is_multiplicative": ready.is_multiplicative,
                "stride": ready.stride,
                "warm": ready.warm_start,
            }
            self.facts[lane] = [facts[name] for name in FACTS]
        self._warm_up(lanes, values)

    def start_batch(self, batch: Batch, values: Array) -> None:
        """Put a series of the batch into every lane, as `start` does."""
        self.series[:], self.indices[:] = batch.series, batch.indices
        self.naive_error[:], self.facts[:] = batch.naive_error, batch.facts
        self._warm_up(np.arange(len(batch)), values)

    def fact(self, name: str) -> Ints:
        """Return a column of the facts `[N]`."""
        return self.facts[:, FACTS.index(name)]

    @property
    def age(self) -> Ints:
        """Observations seen `[N]`."""
        return self.state[:, _AGE].astype(np.int64)

    def _warm_up(self, lanes: Ints, values: Array) -> None:
        self.state[lanes] = 0.0
        neutral = self.fact("is_multiplicative")[lanes, None].astype(np.float64)
        self.state[lanes, SLICES["seasonal"]] = neutral
        self.values[lanes] = values
        self.take_in(lanes, self.fact("warm")[lanes])

    def take_in(self, lanes: Ints, counts: Ints) -> None:
        """Take in `counts [n]` observations under the values in force."""
        counts = np.ascontiguousarray(counts)
        if self.kernel is not None:
            self.kernel.advance(lanes, self.state, self.facts, self.values, self.series, counts)
            return
        self.state[lanes] = walk.advance(
            self.state[lanes], self.facts[lanes], self.values[lanes], self.series[lanes], counts
        )

    def log_ratio(self, lanes: Ints) -> Array:
        """Measure the forecasts against what comes, relative to the fixed smoothers `[n]`."""
        names = ("state", "facts", "values", "series", "indices", "naive_error", "horizon")
        parts: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.kernel is not None:
            return self.kernel.log_ratio(lanes, **parts)
        return walk.log_ratio(**{name: part[lanes] for name, part in parts.items()})

    def features(self) -> Array:
        """Return the family's entries of the observation `[N, F]`."""
        if self.kernel is not None:
            return self.kernel.features(np.arange(len(self.state)), self.state, self.facts)
        return walk.features(self.state, self.facts)

    def forecast(self, lanes: Ints, num: int) -> tuple[Array, Array]:
        """Forecast on the scaled series without the season.

        Returns:
            The walks' own `[n, num]`, and the mean of the fixed smoothers'.
        """
        if self.kernel is not None:
            return self.kernel.forecast(lanes, self.state, self.facts, self.values, num)
        return walk.forecast(self.state[lanes], self.facts[lanes], self.values[lanes], num)

    def realised(self, lanes: Ints) -> Array:
        """Return the mean size of the last interval's one-step errors, over the naive's `[n]`.

        NaN where there was no observation.
        """
        error, count = self.state[lanes, _INTERVAL_ERROR], self.state[lanes, _INTERVAL_COUNT]
        mean = np.where(count > 0.0, error / np.maximum(count, 1.0), np.nan)
        return np.asarray(mean / self.naive_error[lanes])


class ForecastingTrainer(Trainer):
    """N walks; see `Trainer` for the methods.

    Beside every lane the same series is walked through under the constants of its season. The loss
    is the error relative to that one's, so that what makes a series hard or easy, which is far more
    than any setting does, is no part of it; and nothing that is set changes it.

    Args:
        num_lanes: `N`.
        kernel: None runs the NumPy twin.
    """

    def __init__(self, num_lanes: int, *, kernel: Kernel | None) -> None:
        self.walks = Walks(num_lanes, kernel)
        self.reference = Walks(num_lanes, kernel)
        self._every = np.arange(num_lanes)
        self._before = self._copies()

    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Start new walks: the warm start under the initial values."""
        chosen: list[ForecastingTask] = tasks  # type: ignore[assignment]
        lanes = np.ascontiguousarray(lanes, dtype=np.int64)
        walks = [walk_of_task(task) for task in chosen]
        initial = np.array([task.initial for task in tasks])
        horizons = [task.horizon for task in chosen]
        constants = np.array([task.constants for task in chosen])
        self.walks.start(lanes, walks, horizons, initial)
        self.reference.start(lanes, walks, horizons, constants)
        self.walks.state[lanes, _LOG_Q] = self._log_ratio(lanes)
        self._before = self._copies()
        return self._measure(lanes)

    def advance(self, values: NDArray[np.float64]) -> tuple[Telemetry, NDArray[np.float64]]:
        """Walk on by a decision interval; see `Trainer.advance`."""
        walks = self.walks
        self._before = self._copies()
        walks.values = np.ascontiguousarray(values, dtype=np.float64)
        goes_on = walks.age < walks.fact("length")
        counts = np.where(goes_on, walks.fact("stride"), 0)
        walks.take_in(self._every, counts)
        self.reference.take_in(self._every, counts)
        newest = self._log_ratio(self._every)
        log_q = walks.state[:, _LOG_Q]
        walks.state[:, _LOG_Q] = (1.0 - _NEWEST) * log_q + _NEWEST * newest
        return self._measure(self._every), values.copy()

    def features(self, lanes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what has been seen of the series `[n, F]`; see `layout.FEATURES`."""
        return self.walks.features()[lanes]

    def test(self, lanes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Measure the forecasts of the points after the origin.

        Returns:
            MASE `[n]`, and the symmetric absolute percentage error in percent `[n]`.
        """
        walks = self.walks
        lanes = np.ascontiguousarray(lanes, dtype=np.int64)
        future = walks.fact("num_future")[lanes, None]
        ahead = walks.fact("length")[lanes] - walks.age[lanes]  # 0 when the walk is over
        steps = np.arange(int(future.max(initial=0)))
        if not len(steps):
            return np.full(len(lanes), np.nan), np.full(len(lanes), np.nan)
        own, _ = walks.forecast(lanes, int(ahead.max()) + len(steps))
        places = walks.fact("length")[lanes, None] + steps
        season = np.take_along_axis(walks.indices[lanes], places, axis=1)
        actual = np.take_along_axis(walks.series[lanes], places, axis=1)
        expected = np.take_along_axis(own, ahead[:, None] + steps, axis=1)
        is_factor = walks.fact("is_multiplicative")[lanes, None] > 0
        actual, expected = (
            np.where(is_factor, part * season, part + season) for part in (actual, expected)
        )
        is_known = steps < future
        count = np.where(future[:, 0] > 0, future[:, 0], np.nan)
        error = np.where(is_known, np.abs(actual - expected), 0.0)
        share = error / (np.abs(actual) + np.abs(expected) + 1e-12)
        # Summed one after the other: what other lanes have more of, zeros here, changes nothing.
        total, shares = (np.add.accumulate(part, axis=1)[:, -1] for part in (error, share))
        return total / count / walks.naive_error[lanes], 200.0 * shares / count

    def roll_back(self, lanes: NDArray[np.int64]) -> None:
        """Put back the state and the values before the last interval."""
        state, values, reference = self._before
        self.walks.state[lanes], self.walks.values[lanes] = state[lanes], values[lanes]
        self.reference.state[lanes] = reference[lanes]

    def snapshot(self, lanes: NDArray[np.int64]) -> Any:
        """Copy the rows of some lanes."""
        return [
            {name: getattr(walks, name)[lanes].copy() for name in _ARRAYS}
            for walks in (self.walks, self.reference)
        ]

    def restore(self, lanes: NDArray[np.int64], snapshot: Any) -> None:
        """Put a snapshot of n lanes into n lanes."""
        for walks, arrays in zip((self.walks, self.reference), snapshot, strict=True):
            for name, rows in arrays.items():
                getattr(walks, name)[lanes] = rows

    def _copies(self) -> tuple[Array, Array, Array]:
        walks = self.walks
        return walks.state.copy(), walks.values.copy(), self.reference.state.copy()

    def _log_ratio(self, lanes: Ints) -> Array:
        """Return the log of the error relative to that under constants `[n]`."""
        return self.walks.log_ratio(lanes) - self.reference.log_ratio(lanes)

    def _measure(self, lanes: Ints) -> Telemetry:
        telemetry = Telemetry.missing(len(lanes))
        log_q = self.walks.state[lanes, _LOG_Q]
        telemetry.validation_loss[:] = np.exp(log_q)
        telemetry.train_loss[:] = self.walks.realised(lanes)
        telemetry.diverged[:] = ~np.isfinite(log_q)
        return telemetry


_ARRAYS = (
    "state",
    "facts",
    "values",
    "series",
    "indices",
    "naive_error",
    "horizon",
)
