"""Points that group digits by three: "1.200" is twelve hundred where people write decimals as 1,5.

A column of such numbers alone is only a thousandth of what was meant, which no task notices. Where
numbers below a thousand, which need no point, stand beside them, order and distances are lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import DatasetError

_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)
_PLAIN = re.compile(r"[+-]?\d{1,3}", re.ASCII)
_MANY = 20
"""So many distinct decimals that were not padded would not all have three digits by chance."""


def may_group_digits(values: NDArray[np.float64]) -> bool:
    """Say whether numbers `[R]` could have been written with points that group digits.

    Reading their texts is worth it only then.
    """
    given = values[~np.isnan(values)]
    size = np.abs(given)
    if not len(given) or size.max() >= 1000.0 or ((size > 0.0) & (size < 1.0)).any():
        return False
    is_whole = given == np.round(given)
    return bool(is_whole.any() and not is_whole.all() and _has_three_decimals(given))


def _has_three_decimals(values: NDArray[np.float64]) -> bool:
    scaled = values * 1000.0
    return bool((np.abs(scaled - np.round(scaled)) < 1e-6).all())


class PointsSeen:
    """The texts of one column, seen piece by piece, and what their points must be.

    Decimals that are padded to three digits have them in whole numbers, too; decimals that are not
    padded end in no 0, and are not all of three digits. Points that fit neither group digits.
    """

    def __init__(self) -> None:
        self.is_decimal = False
        self._grouped: set[str] = set()
        self._plain: set[str] = set()

    def see(self, texts: Iterable[Any]) -> None:
        """Take more of the column's texts into account."""
        for text in texts:
            if _GROUPED.fullmatch(text):
                self._grouped.add(text)
            elif _PLAIN.fullmatch(text):
                self._plain.add(text)
            else:
                self.is_decimal = True
                return

    @property
    def groups_digits(self) -> bool:
        """Whether the points must be thousands separators."""
        if self.is_decimal or not self._plain or not self._grouped:
            return False
        is_padded = any(text.endswith("0") for text in self._grouped)
        return is_padded or len(self._grouped) >= _MANY

    def check(self, column: str) -> None:
        """Refuse the column if its points must be thousands separators.

        Raises:
            DatasetError: They must; it names a cell, and the options for both readings.
        """
        if self.groups_digits:
            grouped, plain = min(self._grouped), max(self._plain, key=len)
            raise DatasetError(
                f"column {column!r} must have decimals, or thousands separators, not what may be "
                f"either: all with a point have three digits behind it ({grouped!r}), and others "
                f'have none ({plain!r}). Say thousands=".", decimal="," if {grouped!r} is '
                f'{grouped.replace(".", "")}; if it is {grouped}, say decimal="."'
            )
