"""What each column of a table is, what becomes of it, and what is suspicious about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Dataset
from hpo_env.datasets.encoding import MAX_LEVELS
from hpo_env.datasets.tables import Column, Table, any_nan

_MAX_LEVELS_SHOWN = 5
_ID_NAME = re.compile(r"(.*[_\W])?(id|idx|index|key|row|rownum|nr|uuid)", re.IGNORECASE)
_COPY = 1.0 - 1e-6
"""Absolute correlation from which a column says what the target says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnSummary:
    """A column in words.

    Args:
        name: Its name.
        kind: "number", "whole number", "yes/no", "date" or "text".
        values: Its range, or its most frequent levels.
        missing: Rows without a value.
        becomes: What a task sees of it.
        warnings: What is suspicious about it.
    """

    name: str
    kind: str
    values: str
    missing: int
    becomes: str
    warnings: tuple[str, ...] = ()


def summarize_columns(table: Table, dataset: Dataset, target: str) -> Iterator[ColumnSummary]:
    """Go through a table's columns, the target last.

    Args:
        table: What was read.
        dataset: What became of it.
        target: The column that it predicts.
    """
    for column in table.columns(target):
        with any_nan():
            summary = _column_summary(column, dataset, is_target=column.name == target)
        yield summary


def _column_summary(column: Column, dataset: Dataset, *, is_target: bool) -> ColumnSummary:
    if not is_target:
        return _summary(column, _becomes(column), _warnings(column, dataset))
    classes = f"{dataset.num_classes} classes"
    becomes = f"target, {classes if dataset.num_classes else 'a number'}"
    return _summary(column, becomes, _misspelled(column))


def _summary(column: Column, becomes: str, warnings: tuple[str, ...] = ()) -> ColumnSummary:
    kind, values = _levels(column.values) if column.is_text else _range(column)
    return ColumnSummary(
        name=column.name,
        kind=kind,
        values=values,
        missing=int(_is_missing(column).sum()),
        becomes=becomes,
        warnings=warnings,
    )


def _is_missing(column: Column) -> NDArray[np.bool_]:
    if column.values.dtype.kind == "f":
        return np.asarray(np.isnan(column.values))
    if column.values.dtype == object:
        return np.array([value is None for value in column.values], dtype=bool)
    return np.zeros(len(column.values), dtype=bool)


def _levels(values: NDArray[Any]) -> tuple[str, str]:
    counts = Counter(str(value) for value in values if value is not None)
    shown = ", ".join(f"{level} ({n})" for level, n in counts.most_common(_MAX_LEVELS_SHOWN))
    more = len(counts) - _MAX_LEVELS_SHOWN
    return "text", f"{len(counts)} levels: {shown}" + (f" and {more} more" if more > 0 else "")


def _range(column: Column) -> tuple[str, str]:
    values = column.values
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)
    if column.is_date:
        days = [np.datetime64(round(day * 86_400), "s") for day in (low, high)]
        return "date", f"{days[0]} to {days[1]}"
    if values.dtype.kind == "b":
        return "yes/no", f"{int(values.sum())} of {len(values)} are true"
    is_whole = values.dtype.kind in "iu" or bool(
        (values == np.round(values))[~_is_missing(column)].all()
    )
    return (
        ("whole number", f"{low:.15g} to {high:.15g}")
        if is_whole
        else ("number", f"{low:.10g} to {high:.10g}")
    )


def _becomes(column: Column) -> str:
    if not column.is_text:
        varies = np.fmin.reduce(column.values) < np.fmax.reduce(column.values)
        return "a number" if varies else "left out: it never varies"
    levels = {value for value in column.values.tolist()}  # None, missing, is a level of its own
    if len(levels) < 2:
        return "left out: it never varies"
    if len(levels) == 2:
        return "1 column, 0 or 1"
    if len(levels) <= MAX_LEVELS:
        return f"{len(levels)} columns, 0 or 1"
    pooled = len(levels) - MAX_LEVELS + 1
    return f"{MAX_LEVELS} columns, 0 or 1; {pooled} rare levels become one, 'other'"


def _warnings(column: Column, dataset: Dataset) -> tuple[str, ...]:
    warnings = []
    if _is_identifier(column):
        warnings.append(
            "it may be a row number or an ID, which says nothing of new rows; remove it"
        )
    if _is_copy(column, dataset):
        warnings.append("it gives the target away; remove it, if it is not known beforehand")
    return (*warnings, *_misspelled(column))


def _misspelled(column: Column) -> tuple[str, ...]:
    """Warn of levels that are one for people; of several such groups the first is named."""
    groups: dict[str, list[str]] = {}
    if column.is_text:
        for level in sorted({str(value) for value in column.values if value is not None}):
            groups.setdefault(level.casefold(), []).append(level)
    for levels in groups.values():
        if len(levels) > 1:
            named = ", ".join(map(repr, levels))
            return (f"{named} differ in nothing but upper and lower case; spell them alike",)
    return ()


def _is_identifier(column: Column) -> bool:
    values = column.values
    if column.is_text or column.is_date or values.dtype.kind == "b" or np.isnan(values).any():
        return False
    if not (values == np.round(values)).all() or len(np.unique(values)) < len(values):
        return False
    is_sorted = (values[1:] > values[:-1]).all() or (values[1:] < values[:-1]).all()
    return bool(is_sorted) or _ID_NAME.fullmatch(column.name) is not None


def _is_copy(column: Column, dataset: Dataset) -> bool:
    present = ~_is_missing(column)
    values, y = column.values[present], dataset.y[present]
    if len(values) < 2:
        return False
    if dataset.kind == "classification":
        return _is_renaming(values, y)
    if column.is_text:
        return False
    x, y = values.astype(np.float64), y.astype(np.float64)
    if x.min() == x.max() or y.min() == y.max():
        return False
    if abs(np.corrcoef(x, y)[0, 1]) >= _COPY:
        return True
    order = np.argsort(x, kind="stable")
    steps = np.diff(y[order])[np.diff(x[order]) > 0]
    is_function = (np.diff(y[order])[np.diff(x[order]) == 0] == 0).all()
    return bool(is_function and len(steps) > 1 and ((steps > 0).all() or (steps < 0).all()))


def _is_renaming(values: NDArray[Any], labels: NDArray[np.int64]) -> bool:
    """Say whether each value has a class of its own."""
    texts = values.astype(str) if values.dtype == object else values
    _, codes = np.unique(texts, return_inverse=True)
    num_classes = len(np.unique(labels))
    pairs = np.unique(codes * (int(labels.max()) + 1) + labels)
    return len(pairs) == num_classes == int(codes.max()) + 1
