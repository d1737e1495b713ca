"""From a user's table to a matrix of numbers and codes, and the same again for new rows.

Trees take categories and what is missing as they come. A column of a data frame that holds texts,
categories or truth values becomes codes; numbers stay.

Axes: `R` rows, `D` columns.
"""

from __future__ import annotations

import datetime
import numbers
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import listed
from hpo_env.errors import ConfigurationError, ControllerWarning, DatasetError

Array = NDArray[np.float64]

_SHOWN = 3  # names in a message
_NUMBERS = (numbers.Real, Decimal)
_TIMES = (datetime.date, datetime.time, datetime.timedelta)  # those of pandas are kinds of them
_LEVELS = (str, bytes, bool, np.bool_)


def is_frame(x: Any) -> bool:
    """Say whether this is a data frame of pandas."""
    return hasattr(x, "columns") and hasattr(x, "iloc")


def as_frame(x: Any) -> Any:
    """Return a table of another package as a data frame of pandas; anything else as it is.

    Raises:
        DatasetError: Columns of a data frame share a name.
    """
    if not is_frame(x) and hasattr(x, "to_pandas"):
        x = x.to_pandas()
    if is_frame(x) and not x.columns.is_unique:
        twice = list(dict.fromkeys(map(str, x.columns[x.columns.duplicated()])))
        raise DatasetError(
            f"columns of X must have names of their own; got {_listed(twice)} more than once. "
            "Rename them"
        )
    return x


@dataclass(frozen=True, kw_only=True)
class Columns:
    """How each column is read.

    Args:
        names: Of the columns, `D` of them; their places where they have no names.
        levels: Of each column that holds categories its levels, in the order of their codes; None
            for numbers.
    """

    names: tuple[str, ...]
    levels: tuple[tuple[Any, ...] | None, ...]

    @classmethod
    def of(cls, x: Any, categorical: Sequence[int | str] | None) -> Columns:
        """Look at a table.

        Args:
            x: A data frame or a matrix `[R, D]`.
            categorical: Names or places of columns whose numbers are codes of categories, beside
                those of a frame that are no numbers.

        Raises:
            ConfigurationError: There is no such column.
            DatasetError: A matrix holds something else than numbers.
        """
        if is_frame(x):
            names = tuple(str(name) for name in x.columns)
            cells = [x.iloc[:, place] for place in range(x.shape[1])]
        else:
            cells = list(np.asarray(x).T)
            names = tuple(str(place) for place in range(len(cells)))
        told = {_place(one, names) for one in listed("categorical_features", categorical)}
        levels = tuple(
            _levels(column) if place in told or (is_frame(x) and _is_category(column)) else None
            for place, column in enumerate(cells)
        )
        return cls(names=names, levels=levels)

    @property
    def is_categorical(self) -> NDArray[np.bool_]:
        """Which columns hold codes `[D]`."""
        return np.array([one is not None for one in self.levels])

    def read(self, x: Any, *, says_unseen: bool = True) -> Array:
        """Return the matrix `[R, D]` of a table: numbers, codes, NaN where missing.

        A level that is not known counts as missing, and a warning says so.

        Args:
            x: A table of the same columns.
            says_unseen: Whether to warn.

        Raises:
            DatasetError: A column that held numbers holds something else, or an infinity.
        """
        made = np.empty((x.shape[0], len(self.names)), dtype=np.float64)
        unseen: list[str] = []
        for place, (name, levels) in enumerate(zip(self.names, self.levels, strict=True)):
            column = x.iloc[:, place] if is_frame(x) else np.asarray(x)[:, place]
            if levels is None:
                made[:, place] = _numbers(column, name)
            else:
                made[:, place], num_unseen = _codes(column, levels)
                if num_unseen:
                    unseen.append(name)
        if unseen and says_unseen:
            warnings.warn(
                f"columns {_listed(unseen)} hold levels that were not seen in training: they count "
                "as missing",
                ControllerWarning,
                stacklevel=3,
            )
        return made

    def constant(self, x: Array) -> list[str]:
        """Name the columns of a matrix that never vary: no tree can split on them."""
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", RuntimeWarning
            )  # of columns that are missing throughout
            varies = np.nanmin(x, axis=0) < np.nanmax(x, axis=0)
        partly = np.isnan(x).any(axis=0) & ~np.isnan(x).all(axis=0)  # what is missing tells, too
        return [n for n, v in zip(self.names, varies | partly, strict=True) if not v]


def _place(one: int | str, names: tuple[str, ...]) -> int:
    is_place = isinstance(one, int | np.integer) and not isinstance(one, bool)
    if is_place and -len(names) <= int(one) < len(names):
        return int(one) % len(names)
    if isinstance(one, str) and one in names:
        return names.index(one)
    raise ConfigurationError(
        f"categorical_features must name columns of X, or give their places; got {one!r}, and "
        f"there are {_listed(names)}"
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _is_category(column: Any) -> bool:
    """Say whether a column of a frame holds something else than numbers.

    Raises:
        DatasetError: It holds what is neither a number nor a level.
    """
    import pandas as pd

    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype | pd.IntervalDtype):
        return True
    if pd.api.types.is_bool_dtype(kind):
        return True
    if pd.api.types.is_complex_dtype(kind):
        raise _neither(column, f"complex numbers ({kind})", "the two parts of each")
    if pd.api.types.is_numeric_dtype(kind):
        return False
    if pd.api.types.is_datetime64_any_dtype(kind) or kind.kind == "m":
        raise _times(column, kind)
    # Objects, texts among them: numbers that came in with objects are numbers still.
    sorts, levels = {type(cell) for cell in column.dropna()}, (*_LEVELS, pd.Interval)
    for sort in sorts:
        if issubclass(sort, (*_TIMES, pd.Period)):
            raise _times(column, sort.__name__)
        if not issubclass(sort, (*_NUMBERS, *levels)):
            raise _neither(column, f"cells of type {sort.__name__}", "what they hold")
    return not sorts or any(issubclass(sort, levels) for sort in sorts)


def _times(column: Any, kind: Any) -> DatasetError:
    return _neither(
        column, f"times ({kind})", "what matters: the year, the weekday, the days since a day"
    )


def _neither(column: Any, got: str, parts: str) -> DatasetError:
    return DatasetError(
        f"column {str(column.name)!r} must hold numbers or categories; got {got}. Make "
        f"columns of {parts}; or leave it out"
    )


def _levels(column: Any) -> tuple[Any, ...]:
    """List the levels of a column; their codes do not depend on the order of the rows."""
    there = _cells(column)
    known = {cell for cell in there if cell is not None}
    return tuple(sorted(known, key=lambda cell: (str(type(cell)), cell)))


def _codes(column: Any, levels: tuple[Any, ...]) -> tuple[Array, int]:
    code = {level: float(k) for k, level in enumerate(levels)}
    cells = _cells(column)
    found = [np.nan if cell is None else code.get(cell, np.nan) for cell in cells]
    num_unseen = sum(cell is not None and cell not in code for cell in cells)
    return np.array(found, dtype=np.float64), num_unseen


def _cells(column: Any) -> list[Any]:
    """Return cells as plain Python values that compare, None where missing."""
    values = column.astype(object).to_numpy() if hasattr(column, "to_numpy") else column
    return [_cell(value) for value in np.asarray(values, dtype=object)]


def _cell(value: Any) -> Any:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float | np.floating) and np.isnan(value):
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | float | np.number):
        return float(value)
    return str(value)


def _numbers(column: Any, name: str) -> Array:
    if hasattr(column, "to_numpy"):
        try:
            numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise DatasetError(
                f"column {name!r} must hold numbers, as in training; got {column.dtype}: {error}"
            ) from error
    else:
        numbers = np.asarray(column, dtype=np.float64)
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise DatasetError(
            f"column {name!r} must be finite or missing; got {numbers[infinite[0]]} (infinity) in "
            f"row {infinite[0]}. Put NaN there, or a large number"
        )
    return np.asarray(numbers)
