"""The kernel as Python calls it: the functions of `walk.py`, on rows of larger arrays in place.

Axes: `N` lanes, `n` of them, `S` columns of the state, `L` observations.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.building import BuildError, built
from hpo_env.tasks.forecasting.layout import FEATURES, STATE_SIZE

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
    for name in ("walk_advance", "walk_log_ratio", "walk_features", "walk_forecast"):
        getattr(loaded, name).restype = None
    for name in ("walk_state_size", "walk_num_features"):
        getattr(loaded, name).restype = ctypes.c_int64
    assert loaded.walk_state_size() == STATE_SIZE
    assert loaded.walk_num_features() == len(FEATURES)
    return loaded


def _int(number: int) -> ctypes.c_int64:
    return ctypes.c_int64(number)


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    assert array.dtype in (np.float64, np.int64)
    return ctypes.c_void_p(array.ctypes.data)
