"""The kernel as Python calls it: raw pointers to a cohort's buffers, without the GIL.

Axes: `N` lanes, `U` updates, `R` rows, `D` inputs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.errors import ConfigurationError
from hpo_env.networks.base import ACTIVATIONS
from hpo_env.networks.registry import ModelSpec
from hpo_env.tasks.building import BuildError
from hpo_env.tasks.supervised.minibatches import NUM_STRIDES
from hpo_env.tasks.supervised.native.build import library
from hpo_env.tasks.supervised.step import LANE_OBJECTIVES, SETTINGS

COUNTERS = ("seed", "num_updates", "batch_size", "num_consumed", "num_rows")
"""Columns of `Kernel.train`'s counters, before the strides."""
FACTS = ("slot", "num_rows", "num_outputs", "objective")
"""Columns of `Kernel.evaluate`'s facts."""

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


_num_threads = 1


class _Model(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_int64),
        ("sizes", ctypes.c_void_p),
        ("num_inputs", ctypes.c_int64),
        ("num_outputs", ctypes.c_int64),
    ]


class _TrainJob(ctypes.Structure):
    _fields_ = [
        ("model", _Model),
        ("tensors", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        ("y", ctypes.c_void_p),
        ("capacity", ctypes.c_int64),
        ("num_threads", ctypes.c_int64),
        ("num_lanes", ctypes.c_int64),
        ("batch", ctypes.c_int64),
        ("num_updates", ctypes.c_void_p),
        ("counters", ctypes.c_void_p),
        ("num_strides", ctypes.c_int64),
        ("settings", ctypes.c_void_p),
        ("losses", ctypes.c_void_p),
        ("norms", ctypes.c_void_p),
        ("movement", ctypes.c_void_p),
    ]


class _EvaluateJob(ctypes.Structure):
    _fields_ = [
        ("model", _Model),
        ("tensors", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        ("y", ctypes.c_void_p),
        ("capacity", ctypes.c_int64),
        ("num_threads", ctypes.c_int64),
        ("num_lanes", ctypes.c_int64),
        ("facts", ctypes.c_void_p),
        ("loss", ctypes.c_void_p),
        ("accuracy", ctypes.c_void_p),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What an interval measured, float32.

    Args:
        losses: Minibatch losses `[U, N]`.
        norms: Gradient norms before clipping `[U, N]`.
        movement: `step.weight_movement`, `[5, N]`.
    """

    losses: Float32
    norms: Float32
    movement: Float32


class Kernel:
    """The kernel of one model.

    Args:
        spec: The model.
        library: The loaded library.
    """

    def __init__(self, spec: ModelSpec, library: ctypes.CDLL) -> None:
        self._library = library
        self._sizes = np.array(spec.model.kernel_sizes(), dtype=np.int64)
        self._model = _Model(
            kind=_words(library, "kernel_kinds").index(str(spec.model.kernel)),
            sizes=_address(self._sizes),
            num_inputs=spec.num_inputs,
            num_outputs=spec.num_outputs,
        )

    def train(
        self,
        tensors: Sequence[Tensor],
        x: Tensor,
        y: Tensor,
        *,
        batch: int,
        num_updates: Int64,
        counters: Int64,
        settings: Float32,
    ) -> Trained:
        """Train the lanes in slots `0..N-1` for one interval, in place.

        What is measured of updates that a lane does not do is NaN.

        Args:
            tensors: Weights, momenta, squares of every parameter, each `[C, ...]`.
            x: Training inputs `[C, R, D]`; or texts `[C, L]`, uint8.
            y: Labels or targets `[C, R]`; or nothing.
            batch: Rows of the largest minibatch in use.
            num_updates: Updates of each lane, `[N]`, at most `U`.
            counters: `[N, len(COUNTERS) + NUM_STRIDES]`: the columns of `COUNTERS`, then strides.
            settings: `[U, N, len(step.SETTINGS)]`.
        """
        most_updates, num_lanes, _ = settings.shape
        losses, norms = np.full((2, most_updates, num_lanes), np.nan, dtype=np.float32)
        movement = np.empty((5, num_lanes), dtype=np.float32)
        job = _TrainJob(
            model=self._model,
            tensors=ctypes.cast(_pointers(tensors), ctypes.c_void_p),
            x=x.data_ptr(),
            y=y.data_ptr(),
            capacity=x.shape[1],
            num_threads=_num_threads,
            num_lanes=num_lanes,
            batch=batch,
            num_updates=_address(num_updates),
            counters=_address(counters),
            num_strides=NUM_STRIDES,
            settings=_address(settings),
            losses=_address(losses),
            norms=_address(norms),
            movement=_address(movement),
        )
        self._library.kernel_train(ctypes.byref(job))
        return Trained(losses=losses, norms=norms, movement=movement)

    def evaluate(
        self, weights: Sequence[Tensor], x: Tensor, y: Tensor, facts: Int64
    ) -> tuple[Float64, Float64]:
        """Measure loss `[n]` and share of right labels `[n]` of some slots.

        Args:
            weights: Each `[C, ...]`.
            x: Inputs `[C, R, D]`; or texts `[C, L]`, uint8.
            y: Labels or targets `[C, R]`; or nothing.
            facts: `[n, len(FACTS)]`.
        """
        loss, accuracy = np.empty((2, len(facts)))
        job = _EvaluateJob(
            model=self._model,
            tensors=ctypes.cast(_pointers(weights), ctypes.c_void_p),
            x=x.data_ptr(),
            y=y.data_ptr(),
            capacity=x.shape[1],
            num_threads=_num_threads,
            num_lanes=len(facts),
            facts=_address(facts),
            loss=_address(loss),
            accuracy=_address(accuracy),
        )
        self._library.kernel_evaluate(ctypes.byref(job))
        return loss, accuracy


def set_num_threads(num_threads: int) -> None:
    """Set how many threads of this process share the lanes of a call; 1 until it is called.

    The outcome does not depend on it. Several are worth it where nothing else keeps the cores busy,
    so not in the workers of a sharded environment.

    Args:
        num_threads: At least 1.

    Raises:
        ConfigurationError: It is less than 1.
    """
    global _num_threads
    if num_threads < 1:
        raise ConfigurationError(f"num_threads must be at least 1; got {num_threads}")
    _num_threads = num_threads


def has_kernel(spec: ModelSpec) -> bool:
    """Say whether there is a kernel for models of this kind."""
    return spec.model.kernel is not None


def kernel(spec: ModelSpec) -> Kernel:
    """Return the kernel of a model.

    Raises:
        BuildError: The library cannot be built or loaded.
    """
    return Kernel(spec, _loaded(str(library())))


def build_failure() -> str | None:
    """Build and load the library, and return in one line why that fails, or None."""
    try:
        _loaded(str(library()))
    except BuildError as error:
        return str(error)
    return None


@cache
def _loaded(path: str) -> ctypes.CDLL:
    try:
        loaded = ctypes.CDLL(path)
    except OSError as error:
        raise BuildError(f"the library cannot be loaded: {error}") from error
    for name in ("settings", "counters", "facts", "objectives", "activations", "kinds"):
        getattr(loaded, f"kernel_{name}").restype = ctypes.c_char_p
    for name in ("kernel_train", "kernel_evaluate"):
        getattr(loaded, name).restype = None
    assert _words(loaded, "kernel_settings") == SETTINGS
    assert _words(loaded, "kernel_counters") == COUNTERS
    assert _words(loaded, "kernel_facts") == FACTS
    assert _words(loaded, "kernel_objectives") == tuple(known.name for known in LANE_OBJECTIVES)
    assert _words(loaded, "kernel_activations") == tuple(ACTIVATIONS)
    return loaded


def _words(loaded: ctypes.CDLL, function: str) -> tuple[str, ...]:
    return tuple(getattr(loaded, function)().decode().split())


def _pointers(tensors: Sequence[Tensor]) -> Any:
    assert all(t.is_contiguous() and t.dtype == torch.float32 for t in tensors)
    return (ctypes.c_void_p * len(tensors))(*(t.data_ptr() for t in tensors))


def _address(array: NDArray[Any]) -> int:
    assert array.flags.c_contiguous
    return int(array.ctypes.data)
