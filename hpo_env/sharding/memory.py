"""The memory that a worker process shares with its parent: one step's arrays.

Axes: `n` lanes of the worker, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

from dataclasses import replace
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpo_env.sharding.pool import ShardConfig
from hpo_env.sharding.shard import Reply

_ALIGNMENT = 64  # bytes: a cache line, so that no array straddles another's
_SENT = ("observations", "rewards", "terminated", "truncated")


class SharedStep:
    """The arrays of one worker's step, in memory that both processes see.

    The block comes from `RawArray`, an anonymous mapping that the kernel frees with its last user:
    unlike `multiprocessing.shared_memory` it has no name that could outlive a killed process.

    Args:
        context: The multiprocessing context that starts the worker.
        num_lanes: `n`.
        config: `D`, `H` and the dtype of actions.
    """

    def __init__(self, context: BaseContext, num_lanes: int, config: ShardConfig) -> None:
        self._layout: list[tuple[str, tuple[int, ...], DTypeLike]] = [
            ("actions", (num_lanes, config.num_hyperparameters), config.action_dtype),
            ("observations", (num_lanes, config.num_fields), np.float32),
            ("rewards", (num_lanes,), np.float64),
            ("terminated", (num_lanes,), np.bool_),
            ("truncated", (num_lanes,), np.bool_),
        ]
        self._block = context.RawArray("b", sum(_size(s, d) for _, s, d in self._layout))

    def __getstate__(self) -> tuple[Any, ...]:
        return self._layout, self._block

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._layout, self._block = state

    def put_actions(self, actions: NDArray[Any]) -> None:
        """Write actions `[n, H]`."""
        self._view("actions")[...] = actions

    def actions(self) -> NDArray[Any]:
        """Read actions `[n, H]` as a new array."""
        return self._view("actions").copy()

    def put(self, reply: Reply) -> Reply:
        """Write a reply's arrays and return the reply without them, to be sent by pipe."""
        for name in _SENT:
            self._view(name)[...] = getattr(reply, name)
        empty: dict[str, Any] = {name: getattr(reply, name)[:0] for name in _SENT}
        return replace(reply, **empty)

    def fill(self, reply: Reply) -> Reply:
        """Return a reply from `put` with its arrays again, as new arrays."""
        arrays: dict[str, Any] = {name: self._view(name).copy() for name in _SENT}
        return replace(reply, **arrays)

    def _view(self, wanted: str) -> NDArray[Any]:
        offset = 0
        for name, shape, dtype in self._layout:
            if name == wanted:
                count = int(np.prod(shape))
                return np.frombuffer(self._block, dtype, count, offset).reshape(shape)
            offset += _size(shape, dtype)
        raise KeyError(wanted)


def _size(shape: tuple[int, ...], dtype: DTypeLike) -> int:
    num_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return -(-num_bytes // _ALIGNMENT) * _ALIGNMENT
