"""From 64 bits to the 32 of a data set, without losing what tells rows apart.

float32 has 24 binary digits: of 1e9 plus noise hardly any noise is left. Tasks centre and scale
every column anyway, so a column whose digits would go is shifted first, in 64 bits; a column that
cannot be saved in this way is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import DatasetError

_EXACT = frozenset({"?", "b", "B", "h", "H", "e", "f"})
"""Types whose values float32 holds exactly, as characters of NumPy."""

_LARGEST_WHOLE = 2**53
"""Up to here float64 holds every whole number."""

_HARMLESS = 1e-6
"""Rounding, as a share of the spread, that no network on standardised inputs can see."""

_TOLERATED = 1e-3
"""Rounding, as a share of the spread, above which a column is refused."""

_TAIL = 20
"""One in so many values on either side says nothing of the spread: outliers must not hide it."""


Cast = Callable[..., tuple[NDArray[np.float32], float]]
"""What `narrow` and `cast_plainly` are."""


def narrow(values: NDArray[Any], *, name: str) -> tuple[NDArray[np.float32], float]:
    """Turn numbers into float32, which must not round off what they differ in.

    The cast is plain unless it would round by more than a millionth of the spread of the middle
    nine tenths; the median is subtracted first then.

    Args:
        values: `[R]`, real, within float32's range; NaN where missing.
        name: What they are, for the error.

    Returns:
        float32 `[R]`, and what was subtracted before the cast, mostly 0.

    Raises:
        DatasetError: The rounding would exceed a thousandth of the spread all the same.

    Example:
        >>> narrow(np.array([1e9, 1e9 + 1, 1e9 + 2]), name="ids")
        (array([-1.,  0.,  1.], dtype=float32), 1000000001.0)
    """
    if values.dtype.char in _EXACT:
        return values.astype(np.float32), 0.0
    wide, shift = _to_float64(values)
    middle, low, high = _middle(wide[~np.isnan(wide)])
    spread = high - low
    rounding = _largest_rounding(middle)
    if rounding > _HARMLESS * spread:
        median = float(np.partition(middle, len(middle) // 2)[len(middle) // 2])
        if (rounding_if_shifted := _largest_rounding(middle - median)) < rounding:
            rounding, wide, shift = rounding_if_shifted, wide - median, shift + median
    if rounding > _TOLERATED * spread:
        raise DatasetError(
            f"{name} must fit float32; its values, mostly from {low:g} to {high:g}, "
            f"would be rounded by up to {rounding:.2g}. Multiply it by a constant"
        )
    return wide.astype(np.float32), shift


def cast_plainly(values: NDArray[Any], *, name: str) -> tuple[NDArray[np.float32], float]:
    """Turn numbers into the nearest float32, whatever is lost, as `narrow` would mostly do.

    For data sets that figures have been published on.
    """
    del name
    return values.astype(np.float64).astype(np.float32), 0.0


def check_gaps_in_whole(low: int, high: int, *, name: str) -> None:
    """Refuse whole numbers of which some are missing when float64, which has gaps, rounds them.

    Args:
        low: The least of them.
        high: The largest.
        name: What they are, for the error.

    Raises:
        DatasetError: They lie beyond 2**53.
    """
    if low < -_LARGEST_WHOLE or high > _LARGEST_WHOLE:
        raise DatasetError(
            f"{name} has missing values beside whole numbers beyond 2**53, which would be rounded: "
            f"{low} to {high}. Remove it, if it is an ID, or subtract its smallest value"
        )


def _to_float64(values: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """Make float64 of any type; whole numbers too long for it have their smallest subtracted."""
    if values.dtype.kind not in "iu" or not len(values):
        return values.astype(np.float64), 0.0
    low, high = int(values.min()), int(values.max())
    if low >= -_LARGEST_WHOLE and high <= _LARGEST_WHOLE:
        return values.astype(np.float64), 0.0
    # Unsigned differences are exact even where signed ones would overflow.
    unsigned = values.astype(np.uint64 if values.dtype.kind == "u" else np.int64).view(np.uint64)
    return (unsigned - np.uint64(low % 2**64)).astype(np.float64), float(low)


def _middle(numbers: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Return the middle nine tenths, their least and their largest; all where those are one."""
    if not len(numbers):
        return numbers, 0.0, 0.0
    first, last = len(numbers) // _TAIL, len(numbers) - 1 - len(numbers) // _TAIL
    ordered = np.partition(numbers, (first, last))
    if ordered[first] < ordered[last]:
        return ordered[first : last + 1], float(ordered[first]), float(ordered[last])
    return numbers, float(numbers.min()), float(numbers.max())


def _largest_rounding(numbers: NDArray[np.float64]) -> float:
    with np.errstate(over="ignore"):
        return float(np.abs(numbers.astype(np.float32) - numbers).max(initial=0.0))
