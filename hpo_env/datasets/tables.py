"""A table that has been read, whatever it was read from, and the rules for what makes a task.

Everything that would make a task of it meaningless is refused here, before any training, with what
is wrong, what is allowed and how to fix it.

Axes: R rows, D features.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Dataset, Kind
from hpo_env.datasets.encoding import encode_target, infer_kind
from hpo_env.datasets.narrowing import narrow
from hpo_env.errors import DatasetError, unknown_name

MIN_ROWS = 30  # fewer cannot be cut into training, validation and test rows that mean anything

MAX_BYTES = 4 * 2**30
"""A table that would take more memory is refused; a task uses at most 2,048 of its rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a table as it was read, before anything is encoded.

    Args:
        name: Its name.
        values: `[R]`; numbers with NaN where missing, or texts with None where missing.
        is_date: Whether the numbers are days since 1970.
    """

    name: str
    values: NDArray[Any]
    is_date: bool = False

    @property
    def is_text(self) -> bool:
        """Whether it holds categories."""
        return self.values.dtype.kind not in "biuf"


class Table(ABC):
    """Rows and columns that have been read and are still to become a data set.

    Args:
        place: Where they are from, for errors: a path, or what a user would call it.
        name: What the data set will be called.
    """

    def __init__(self, place: str, name: str) -> None:
        self.place = place
        # The name of a file need not be UTF-8, but what is written about its data is.
        self.name = name.encode("utf-8", "backslashreplace").decode()

    def dataset(self, *, target: str, kind: Kind | None = None) -> Dataset:
        """Make the data set that predicts one column from the others; its arrays are read-only.

        Raises:
            DatasetError: The table makes no task.
            UnknownNameError: There is no such kind.
        """
        if kind is not None and kind not in get_args(Kind):
            raise unknown_name("kind of target", kind, get_args(Kind))
        with located(self.place), any_nan():
            if not isinstance(target, str):
                raise DatasetError(f"target must be a name, which is text; got {target!r}")
            dataset = self._dataset(target, kind)
        dataset.x.setflags(write=False)
        dataset.y.setflags(write=False)
        return dataset

    @abstractmethod
    def _dataset(self, target: str, kind: Kind | None) -> Dataset:
        """Make it; errors need not say where the table is from."""

    @abstractmethod
    def columns(self, target: str) -> Iterator[Column]:
        """Go through the columns, the target last."""


def any_nan() -> np.errstate:
    """Compute with a NaN that signals, as damaged files have, as with any other: it is missing."""
    return np.errstate(invalid="ignore")


@contextmanager
def located(place: str) -> Iterator[None]:
    """Put where the data is from before the message of a `DatasetError`."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{place}: {error}") from error


def build(
    name: str,
    x: NDArray[np.float32],
    y_raw: NDArray[Any],
    feature_names: tuple[str, ...],
    *,
    target: str,
    kind: Kind | None,
    image_shape: tuple[int, int, int] | None = None,
) -> Dataset:
    """Make a data set of encoded features and a raw target, by the rules for all tables.

    Raises:
        DatasetError: No feature varies, or the target makes no task.
    """
    if not feature_names:
        msg = f"at least one column besides {target!r} must vary; none does"
        raise DatasetError(f"{msg}. Add columns to predict it from")
    if y_raw.dtype.kind == "f":
        check_range(y_raw, where=f"target {target!r}")
    kind = infer_kind(y_raw) if kind is None else kind
    shift = 0.0
    if kind == "regression" and y_raw.dtype.kind in "iuf":
        y_raw, shift = narrow(y_raw, name=f"target {target!r}")
    y, class_names = encode_target(y_raw, kind, name=target)
    if len(class_names) > len(y) / 2:
        msg = f"target {target!r} has {len(class_names)} classes in {len(y)} rows, at most half as"
        fix = "If it is a quantity, say kind='regression'" if y_raw.dtype.kind in "iuf" else ""
        raise DatasetError(f"{msg} many are allowed. {fix or 'Choose another target'}")
    return Dataset(
        name=name,
        kind=kind,
        x=x,
        y=y,
        feature_names=feature_names,
        num_classes=len(class_names),
        image_shape=image_shape,
        class_names=class_names,
        target_shift=shift,
    )


def check_target_name(target: str, names: Sequence[str], *, what: str) -> None:
    """Refuse a target that is none of the columns (arrays); `what` is what they are called."""
    if target in names:
        return
    near = difflib.get_close_matches(target, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    msg = f"there is no {what} {target!r} to predict{hint} The {what}s are: {quoted(names)}"
    raise DatasetError(msg)


def check_names(names: Sequence[str]) -> None:
    """Refuse names that occur more than once."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        msg = f"column names must be distinct; {quoted(repeated)} occur(s) more than once"
        raise DatasetError(f"{msg}. Rename or remove the copies")


def check_rows(num_rows: int) -> None:
    """Refuse too few rows."""
    if num_rows < MIN_ROWS:
        msg = f"at least {MIN_ROWS} rows are needed for training, validation and test"
        raise DatasetError(f"{msg}; got {num_rows}. Add rows")


def check_size(num_bytes: int) -> None:
    """Refuse what would not fit the memory of a usual machine, before it is read."""
    if num_bytes > MAX_BYTES:
        msg = f"a table must take at most {MAX_BYTES:,} bytes of memory; it has {num_bytes:,}"
        raise DatasetError(f"{msg}. Draw rows from it: a task uses at most 2,048 of them")


def check_target_missing(is_missing: NDArray[np.bool_], target: str) -> None:
    """Refuse a target that is not known in every row."""
    rows = np.flatnonzero(is_missing) + 1
    if len(rows):
        where = ", ".join(map(str, rows[:3])) + (", …" if len(rows) > 3 else "")
        msg = f"target {target!r} must be given in every row; {len(rows)} lack(s) it (row {where})"
        raise DatasetError(f"{msg}. Remove those rows or fill them in")


def check_range(numbers: NDArray[Any], *, where: str) -> None:
    """Refuse infinities and what float32 cannot hold."""
    largest = np.finfo(np.float32).max
    count = np.count_nonzero(numbers > largest) + np.count_nonzero(numbers < -largest)
    if count:
        msg = f"{where} must be finite (and fit float32); {count} value(s) do not"
        raise DatasetError(f"{msg}. Replace them, or leave the cell empty if unknown")


def quoted(names: Iterable[object], limit: int = 30) -> str:
    """List names, quoted, with how many are left out."""
    listed = [repr(str(name)) for name in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
