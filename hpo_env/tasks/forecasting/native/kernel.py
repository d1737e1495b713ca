"""The kernel as Python calls it: the functions of `walk.py`, on rows of larger arrays in place.

Axes: `N` lanes, `n` of them, `S` columns of the state, `L` observations.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.building import BuildError, built
from hpo_env.tasks.forecasting.layout import FEATURES, STATE_SIZE
from hpo_env.tasks.forecasting.native.addresses import address as _address
from hpo_env.tasks.forecasting.native.addresses import integer as _int
from hpo_env.tasks.forecasting.native.network import Network
from hpo_env.tasks.forecasting.preparation import Season

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_SOURCE = Path(__file__).with_name("walk.cpp")
# Without contraction the kernel rounds as NumPy does.
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-ffp-contract=off")


class Kernel:
    """The walk in C++; every call works on the given lanes and releases the GIL.

    Raises:
        BuildError: The library cannot be built or loaded.
    """

    def __init__(self) -> None:
        self._library = _loaded(str(built(_SOURCE, _FLAGS)))

    def advance(
        self, lanes: Ints, state: Array, facts: Ints, values: Array, series: Array, counts: Ints
    ) -> None:
        """Take in `counts [n]` observations and solve the autoregression, in place."""
        arrays = (lanes, state, facts, values, series)
        self._library.walk_advance(
            _int(len(lanes)), *map(_address, arrays), _int(series.shape[1]), _address(counts)
        )

    def prepare(
        self,
        observed: Array,
        starts: Ints,
        periods: Ints,
        season: Season,
        *,
        series: Array,
        indices: Array,
        scale: Array,
        naive_error: Array,
    ) -> tuple[Ints, Ints]:
        """Prepare series as `preparation.prepare` does.

        Args:
            observed: All observations, one series after the other.
            starts: Where each begins there, and the end of the last `[N + 1]`.
            periods: Observations in a season `[N]`.
            season: How it enters.
            series: Takes the observations, scaled and without the season `[N, L]`.
            indices: Takes the seasonal index of every place `[N, L]`.
            scale: Takes what observations were divided by `[N]`.
            naive_error: Takes the seasonal naive's error `[N]`.

        Returns:
            Where there is a season, and where it multiplies, 0 or 1 `[N]`.
        """
        is_seasonal, is_multiplicative = np.empty((2, len(periods)), dtype=np.int64)
        self._library.walk_prepare(
            _int(len(periods)),
            *map(_address, (observed, starts, periods)),
            _int(get_args(Season).index(season)),
            *map(_address, (series, indices)),
            _int(series.shape[1]),
            *map(_address, (scale, naive_error, is_seasonal, is_multiplicative)),
        )
        return is_seasonal, is_multiplicative

    def steer(
        self,
        network: Network,
        *,
        state: Array,
        facts: Ints,
        values: Array,
        series: Array,
        indices: Array,
        naive_error: Array,
        num_ahead: int,
        longest: int,
    ) -> tuple[Array, Array, Array, Array, Array]:
        """Walk through all series that are warm, under a policy; see `steering.steer`.

        Args:
            network: The policy.
            state: `[N, S]`, changed in place.
            facts: `[N, len(FACTS)]`.
            values: Those at the start, changed to those at the end `[N, H]`.
            series: `[N, L]`.
            indices: `[N, L]`.
            naive_error: `[N]`.
            num_ahead: Steps ahead, `A`.
            longest: Decisions in the longest walk, `T`.

        Returns:
            Forecasts on the scaled series without the season `[N, A]`, sums of the sizes of
            realised errors, the same with late ones counting more, their numbers `[N, A]`, and the
            course `[N, T, H]`.
        """
        count = len(state)
        course = np.full((count, longest, values.shape[1]), np.nan)
        sums, recent, counts, out = np.zeros((4, count, num_ahead))
        self._library.walk_steer(
            _int(count),
            *map(_address, (state, facts, values, series, indices)),
            _int(series.shape[1]),
            _address(naive_error),
            *network.arguments(),
            _int(num_ahead),
            _int(longest),
            *map(_address, (course, sums, recent, counts, out)),
        )
        return out, sums, recent, counts, course

    def log_ratio(
        self,
        lanes: Ints,
        state: Array,
        facts: Ints,
        values: Array,
        series: Array,
        indices: Array,
        naive_error: Array,
        horizon: Ints,
    ) -> Array:
        """Measure the forecasts against what comes `[n]`; see `walk.log_ratio`."""
        out = np.empty(len(lanes))
        arrays = (lanes, state, facts, values, series, indices)
        self._library.walk_log_ratio(
            _int(len(lanes)),
            *map(_address, arrays),
            _int(series.shape[1]),
            *map(_address, (naive_error, horizon, out)),
        )
        return out

    def features(self, lanes: Ints, state: Array, facts: Ints) -> Array:
        """Return the family's entries of the observation `[n, len(FEATURES)]`."""
        out = np.empty((len(lanes), len(FEATURES)))
        self._library.walk_features(_int(len(lanes)), *map(_address, (lanes, state, facts, out)))
        return out

    def forecast(
        self, lanes: Ints, state: Array, facts: Ints, values: Array, num: int
    ) -> tuple[Array, Array]:
        """Forecast without the classical season: own `[n, num]` and the smoothers' mean."""
        own, reference = np.empty((2, len(lanes), num))
        self._library.walk_forecast(
            _int(len(lanes)),
            *map(_address, (lanes, state, facts, values)),
            _int(num),
            *map(_address, (own, reference)),
        )
        return own, reference


@cache
def _loaded(path: str) -> ctypes.CDLL:
    try:
        loaded = ctypes.CDLL(path)
    except OSError as error:
        raise BuildError(f"the library cannot be loaded: {error}") from error
    for name in ("advance", "log_ratio", "features", "forecast", "prepare", "steer"):
        getattr(loaded, f"walk_{name}").restype = None
    for name in ("walk_state_size", "walk_num_features"):
        getattr(loaded, name).restype = ctypes.c_int64
    assert loaded.walk_state_size() == STATE_SIZE
    assert loaded.walk_num_features() == len(FEATURES)
    return loaded
