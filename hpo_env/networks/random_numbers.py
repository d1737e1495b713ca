"""Random numbers without state: a hash of where and when they are used.

Dropout masks and minibatch orders are functions of (lane seed, counter, place). So a lane draws the
same numbers whatever runs beside it, a snapshot needs no generator, and the compiled step computes
them where it uses them.

Every function takes NumPy arrays and torch tensors of int64 alike: there is one implementation, and
the reference trainer calls it with NumPy. All values stay in `[0, 2^32)` and every product below
`2^62`, so no step relies on how an overflow is treated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_MASK = 0xFFFFFFFF
_WEYL = 0x1E3779B9  # odd, so that `place * _WEYL` differs for all 2^32 places
_MULTIPLIER = 0x119DE1F3

ORDER = 1
"""Purpose: where an epoch's minibatch order starts."""
DROPOUT = 2
"""Purpose: dropout masks."""
WINDOWS = 3
"""Purpose: where windows of a text begin."""


def mix(x: Any) -> Any:
    """Hash integers `[...]` in `[0, 2^32)` to others that look unrelated; a bijection.

    Source: Thomas Mueller, https://stackoverflow.com/a/12996028 (the constant with the better
    avalanche).
    """
    x = (((x >> 16) ^ x) * _MULTIPLIER) & _MASK
    x = (((x >> 16) ^ x) * _MULTIPLIER) & _MASK
    return (x >> 16) ^ x


def combine(key: Any, place: Any) -> Any:
    """Derive the key of one place from a key: a lane's, then an update's, then an element's.

    Args:
        key: In `[0, 2^32)`, `[...]`.
        place: In `[0, 2^32)`; broadcasts against `key`.

    Returns:
        A key in `[0, 2^32)`.

    Example:
        >>> combine(np.array([7]), np.array([0, 1])).tolist()
        [323350233, 4137396030]
    """
    # Masked, or torch.compile takes the product for an index, of 32 bits on a GPU.
    return mix((key + (place & _MASK) * _WEYL) & _MASK)


def uniform(key: Any) -> Any:
    """Turn keys into float32 numbers in `[0, 1)`, exact multiples of `2^-24`."""
    top = key >> 8
    as_float = top.float() if isinstance(top, torch.Tensor) else top.astype(np.float32)
    return as_float * 2.0**-24


def dropout_uniforms(
    seed: int, update: int, site: int, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Compute the numbers that decide which elements of one lane's layer are dropped.

    Args:
        seed: The episode seed.
        update: Updates done before this one.
        site: Which of the model's dropout layers, counted from 0.
        shape: `(rows, width)` of the layer.

    Returns:
        Array of that shape; an element is dropped where it is below the dropout rate.
    """
    element = np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)
    key = combine(dropout_key(np.array(seed), np.array(update)), np.array(site))
    uniforms: NDArray[np.float32] = uniform(combine(key, element))
    return uniforms


def dropout_key(seed: Any, update: Any) -> Any:
    """Derive the key of all dropout masks of one update from the episode seeds `[N]`."""
    return combine(combine(mix(seed), DROPOUT), update)
