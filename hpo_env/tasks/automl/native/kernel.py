"""The booster as Python calls it.

Axes: `N` lanes, `H` hyperparameters, `T` rounds, `K` scores, R rows.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.tasks.automl.binning import BinnedTable, LinearInputs
from hpo_env.tasks.building import BuildError, built

_SOURCE = Path(__file__).with_name("boosting.cpp")
# Without contraction the kernel rounds as its twin does.
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-ffp-contract=off", "-pthread")
_TARGETS = {"regression": 0, "binary": 1, "multiclass": 2}
_POINTER = ctypes.c_void_p

_num_threads = 1


class NativeTable:
    """A binned table on the other side; freed with this object.

    Args:
        table: What to copy there.

    Raises:
        BuildError: The library cannot be built or loaded.
    """

    def __init__(self, table: BinnedTable) -> None:
        library = load()
        problem = table.problem
        self.shape = (len(table.y), problem.num_scores)
        self.has_linear = False
        arrays: tuple[NDArray[Any], ...] = (
            table.ends.astype(np.int64),
            table.num_bins.astype(np.int64),
            problem.is_categorical.astype(np.int64),
            np.ascontiguousarray(table.bins),
            table.y.astype(np.float32),
            problem.base_scores.astype(np.float32),
        )
        ends, *others = map(address, arrays)
        self.pointer: int = library.boosting_table(
            ctypes.c_int64(_TARGETS[problem.target]),
            ctypes.c_int64(problem.num_scores),
            ends,
            ctypes.c_int64(len(table.num_bins)),
            *others,
        )
        weakref.finalize(self, library.boosting_free, _POINTER(self.pointer))

    def set_linear(self, linear: LinearInputs) -> None:
        """Give it the inputs of linear stages."""
        inputs = np.ascontiguousarray(linear.inputs, dtype=np.float32)
        factor = np.ascontiguousarray(linear.factor, dtype=np.float64)
        load().boosting_set_linear(
            _POINTER(self.pointer),
            ctypes.c_int64(inputs.shape[1]),
            address(inputs),
            address(factor),
        )
        self.has_linear = True

    def start(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Fill the scores `[R, K]` of a lane with the best constants; return losses `[4]`."""
        losses = np.empty(4)
        load().boosting_start(_POINTER(self.pointer), address(scores), address(losses))
        return losses


def advance(
    tables: list[NativeTable],
    scores: list[NDArray[np.float32]],
    states: NDArray[np.uint64],
    values: NDArray[np.float64],
    num_rounds: NDArray[np.int64],
    best: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Boost N lanes, scores and states in place; the GIL is released.

    Args:
        tables: Of each lane.
        scores: Of each lane `[R, K]`.
        states: Of their generators `[N]`.
        values: Hyperparameters in the family's order `[N, H]`.
        num_rounds: `[N]`.
        best: Lowest validation losses so far `[N]`.

    Returns:
        Losses `[4, N, T]`: training (of the last round), validation, test and test metric (of
        rounds that are the best so far); NaN elsewhere.
    """
    count, most = len(tables), int(num_rounds.max(initial=1))
    losses = np.full((4, count, most), np.nan)
    pointers = (_POINTER * count)(*(table.pointer for table in tables))
    places = (_POINTER * count)(*(part.ctypes.data for part in scores))
    load().boosting_advance(
        ctypes.c_int64(_num_threads),
        ctypes.c_int64(count),
        pointers,
        places,
        *map(address, (states, values, num_rounds, best)),
        ctypes.c_int64(most),
        address(losses),
    )
    return losses


def set_num_threads(num_threads: int) -> None:
    """Set how many threads of this process share the lanes of a call; 1 until it is called.

    Raises:
        ConfigurationError: It is below 1.
    """
    global _num_threads
    if num_threads < 1:
        raise ConfigurationError(f"num_threads must be at least 1; got {num_threads}")
    _num_threads = num_threads


@cache
def load() -> ctypes.CDLL:
    """Build the library if it is not there yet, and load it.

    Raises:
        BuildError: It cannot be built or loaded.
    """
    try:
        library = ctypes.CDLL(str(built(_SOURCE, _FLAGS)))
    except OSError as error:
        raise BuildError(f"the library cannot be loaded: {error}") from error
    library.boosting_table.restype = ctypes.c_void_p
    for name in ("boosting_set_linear", "boosting_free", "boosting_start", "boosting_advance"):
        getattr(library, name).restype = None
    return library


def address(array: NDArray[Any]) -> ctypes.c_void_p:
    """Return where an array lies, for the library."""
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)
