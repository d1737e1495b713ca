"""What the kernel is handed: whole numbers, and arrays as the addresses of their memory."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray


def integer(number: int) -> ctypes.c_int64:
    """Return a whole number as the kernel takes it."""
    return ctypes.c_int64(number)


def address(array: NDArray[Any]) -> ctypes.c_void_p:
    """Return where an array of doubles or 64-bit integers lies; the caller keeps it alive."""
    assert array.flags.c_contiguous
    assert array.dtype in (np.float64, np.int64)
    return ctypes.c_void_p(array.ctypes.data)
