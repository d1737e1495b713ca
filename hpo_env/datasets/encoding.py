"""Turn the columns of a table into numbers.

Numeric columns stay as they are (but see `narrowing.py`), booleans become 0/1, dates become days
since 1970, and text becomes one-hot columns. A text column with many levels keeps the most frequent
ones and pools the rest in `other`. A missing number stays NaN; a missing text is a level of its
own, `missing`, because that a value was not given is often what it tells.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Kind
from hpo_env.datasets.narrowing import Cast, check_gaps_in_whole, narrow
from hpo_env.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

MAX_LEVELS = 12  # one-hot columns that one text column may become, `other` included
MAX_LABEL_VALUES = 20  # whole numbers with at most so many distinct values are class labels
OTHER = "other"
MISSING = "missing"


def encode_features(
    frame: pd.DataFrame, *, max_levels: int = MAX_LEVELS, cast: Cast = narrow
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Encode every column of a table; columns that never vary are left out.

    Args:
        frame: R rows, distinct column names, no infinities.
        max_levels: Most levels that one text column keeps, at least 2.
        cast: How numbers become float32.

    Returns:
        Features `[R, D]` and their D names: a one-hot column is called `column=level`. A text
        column with two levels gives one column, as the second would be its mirror image.

    Raises:
        DatasetError: float32 cannot tell the values of a column apart.
    """
    columns: dict[str, NDArray[np.float32]] = {}
    for name, values in frame.items():
        encoded = _encode_column(values, max_levels=max_levels, cast=cast)
        for suffix, column in encoded.items():
            if np.fmin.reduce(column) < np.fmax.reduce(column):
                # Levels "a" and "a=b" of different columns can meet in one name; keep them apart.
                columns[_distinct(f"{name}{suffix}", columns)] = column
    if not columns:
        return np.empty((len(frame), 0), dtype=np.float32), ()
    return np.stack(list(columns.values()), axis=1), tuple(columns)


def is_text(column: pd.Series[Any]) -> bool:
    """Say whether a column holds text or categories and would be one-hot encoded."""
    return column.dtype.kind not in "biufM"


def is_date(column: pd.Series[Any]) -> bool:
    """Say whether a column holds moments."""
    return column.dtype.kind == "M"


def numbers(column: pd.Series[Any]) -> NDArray[Any]:
    """Turn a column that is no text into numbers `[R]`, NaN where missing.

    Dates become days since 1970; whole numbers of which none is missing stay whole.

    Raises:
        DatasetError: Some are missing of whole numbers that are too long for float64.
    """
    if is_date(column):
        return _days(column.dt.tz_localize(None))
    if column.dtype.kind in "iu" and not column.isna().any():
        return column.to_numpy(dtype=column.dtype.name.lower())
    if column.dtype.kind in "iu" and column.notna().any():
        name = f"column {str(column.name)!r}"
        check_gaps_in_whole(int(column.min()), int(column.max()), name=name)
    if column.dtype.kind in "bf" and isinstance(column.dtype, np.dtype):
        return column.to_numpy()
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _days(column: pd.Series[Any]) -> NDArray[np.float64]:
    moments = column.to_numpy(dtype="datetime64[us]")
    days = moments.astype(np.float64) / 86_400e6
    return np.where(np.isnat(moments), np.nan, days)


def _encode_column(
    column: pd.Series[Any], *, max_levels: int, cast: Cast
) -> dict[str, NDArray[np.float32]]:
    if not is_text(column):
        return {"": cast(numbers(column), name=f"column {str(column.name)!r}")[0]}
    text = column.astype(object).where(column.notna(), MISSING).astype(str).to_numpy(dtype=object)
    levels, counts = np.unique(text, return_counts=True)
    if len(levels) > max_levels:
        # Stable sort: ties go to the first in the alphabet, so the result does not depend on rows.
        frequent = levels[np.argsort(-counts, kind="stable")][: max_levels - 1]
        text = np.where(np.isin(text, frequent), text, OTHER)
        levels = np.unique(text)
    if len(levels) == 2:
        levels = levels[1:]
    return {f"={level}": (text == level).astype(np.float32) for level in levels}


def _distinct(name: str, taken: Container[str]) -> str:
    while name in taken:
        name += "_"
    return name


def infer_kind(target: NDArray[Any]) -> Kind:
    """Guess what a target is: text, booleans and few whole numbers are class labels.

    Args:
        target: `[R]`, nothing missing.

    Example:
        >>> infer_kind(np.array([3, 1, 2, 1])), infer_kind(np.array([0.5, 1.5, 2.0]))
        ('classification', 'regression')
    """
    if target.dtype.kind not in "iuf":
        return "classification"
    whole = bool((target == np.round(target)).all())
    few = np.unique(target).size <= MAX_LABEL_VALUES
    return "classification" if whole and few else "regression"


def encode_target(
    target: NDArray[Any], kind: Kind, *, name: str
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Turn a target into labels or numbers.

    Args:
        target: `[R]`, nothing missing or infinite.
        kind: What to turn it into.
        name: The column's name, for the error.

    Returns:
        int64 labels `[R]` and the K class names in label order, or float32 `[R]` and no names.

    Raises:
        DatasetError: There is one value only, or numbers were wanted and it holds text.
    """
    if kind == "classification":
        classes, labels = np.unique(_comparable(target), return_inverse=True)
        _check_varies(classes, name=name, what="class")
        return labels.astype(np.int64), tuple(_label(c) for c in classes)
    if target.dtype.kind not in "biuf":
        msg = f"target {name!r} holds text, so it cannot be a regression target"
        raise DatasetError(f"{msg}; give a numeric column, or kind='classification'")
    numbers = target.astype(np.float32)
    _check_varies(np.unique(numbers), name=name, what="value")
    return numbers, ()


def _comparable(target: NDArray[Any]) -> NDArray[Any]:
    if target.dtype.kind == "O":  # not NumPy's own text, which loses NUL characters at the end
        return np.array([str(value) for value in target], dtype=object)
    return target if target.dtype.kind in "biufU" else target.astype(str)


def _label(value: Any) -> str:
    is_float = isinstance(value, np.floating)
    return np.format_float_positional(value, trim="-") if is_float else str(value)


def _check_varies(values: NDArray[Any], *, name: str, what: str) -> None:
    if len(values) < 2:
        msg = f"target {name!r} must have at least two {what}{'es' if what == 'class' else 's'}"
        raise DatasetError(f"{msg}; all rows have {values.tolist()}: nothing is left to learn")
