"""A table with named columns of several types: a pandas DataFrame, from a file or from memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo_env.datasets.base import Dataset, Kind
from hpo_env.datasets.encoding import MAX_LEVELS, encode_features, is_date, is_text, numbers
from hpo_env.datasets.reading import Reading
from hpo_env.datasets.tables import (
    Column,
    Table,
    build,
    check_names,
    check_range,
    check_rows,
    check_target_missing,
    check_target_name,
    quoted,
)
from hpo_env.datasets.text_columns import read_text
from hpo_env.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

_NAMED_BY_PANDAS = re.compile(r"Unnamed: \d+")

FREE_TEXT_SHARE = 0.5  # of a text column's values distinct: names or sentences, not categories


class FrameTable(Table):
    """A DataFrame whose text has been read.

    Args:
        place: Where it is from, for errors.
        name: What the data set will be called.
        frame: R rows; it is not changed.
        reading: How its text is to be read.

    Raises:
        DatasetError: Names repeat, or a column is no numbers, dates or categories.
    """

    def __init__(self, place: str, name: str, frame: pd.DataFrame, reading: Reading) -> None:
        super().__init__(place, name)
        names = [str(column) for column in frame.columns]
        check_names(names)
        _check_types(frame)
        frame = _without_row_numbers(frame.set_axis(names, axis=1))
        self._frame = read_text(frame, reading)

    def _dataset(self, target: str, kind: Kind | None) -> Dataset:
        check_target_name(target, list(self._frame.columns), what="column")
        check_rows(len(self._frame))
        features = self._frame.drop(columns=[target])
        _check_features(features)
        values = self._frame[target]
        check_target_missing(values.isna().to_numpy(), target)
        y_raw = values.astype(str).to_numpy(dtype=object) if is_text(values) else numbers(values)
        x, feature_names = encode_features(features)
        return build(self.name, x, y_raw, feature_names, target=target, kind=kind)

    def columns(self, target: str) -> Iterator[Column]:
        """Go through the columns, the target last."""
        others = [name for name in self._frame.columns if name != target]
        for name in [*others, target]:
            column = self._frame[name]
            if is_text(column):
                texts = column.astype(object).where(column.notna(), None).to_numpy(dtype=object)
                yield Column(name=name, values=texts)
            else:
                yield Column(name=name, values=numbers(column), is_date=is_date(column))


def _without_row_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out row numbers that were saved as a column without a name, and read again."""
    numbers = np.arange(len(frame))
    row_numbers = [
        name
        for name, dtype in frame.dtypes.items()
        if _NAMED_BY_PANDAS.fullmatch(str(name))
        and dtype.kind in "iu"
        and any(np.array_equal(frame[name], numbers + first) for first in (0, 1))
    ]
    return frame.drop(columns=row_numbers)


def _check_types(frame: pd.DataFrame) -> None:
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if dtype.kind in "cmV":  # complex numbers, durations, records
            msg = f"columns must hold numbers, booleans, dates or text; {str(name)!r} holds {dtype}"
            raise DatasetError(f"{msg}. Remove it, or turn it into numbers")


def _check_features(features: pd.DataFrame) -> None:
    empty = [str(name) for name, column in features.items() if column.isna().all()]
    if empty:
        msg = f"every column needs at least one value; {quoted(empty)} has/have none"
        raise DatasetError(f"{msg}. Remove the column(s)")
    for name, column in features.items():
        if is_text(column):
            _check_categories(column)
        elif not is_date(column):
            wide = column.to_numpy(dtype=np.float64, na_value=np.nan)
            check_range(wide, where=f"column {str(name)!r}")


def _check_categories(column: pd.Series[Any]) -> None:
    values = column.dropna().astype(str)
    distinct = values.nunique()
    if distinct > max(MAX_LEVELS, FREE_TEXT_SHARE * len(values)):
        examples = quoted(values.head(2).tolist())
        msg = (
            f"text column {str(column.name)!r} must hold categories; {distinct} of its "
            f"{len(values)} values are distinct (e.g. {examples})"
        )
        raise DatasetError(f"{msg}. Remove it, or turn it into numbers or a few categories")
