"""CSV: the rows below the header, and what pandas reads otherwise than people mean it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo_env.datasets.csv_header import NAMELESS, Header, not_utf8, read_header
from hpo_env.datasets.digit_groups import PointsSeen, may_group_digits
from hpo_env.datasets.extras import require
from hpo_env.datasets.frame_table import FrameTable
from hpo_env.datasets.reading import Reading
from hpo_env.datasets.tables import check_size
from hpo_env.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

_LARGEST_WHOLE = 2.0**53
_ROWS_AT_ONCE = 100_000


def read_csv(path: Path, reading: Reading) -> FrameTable:
    """Read a CSV file: UTF-8, a header line, then one line a row.

    Fields are separated by commas, semicolons, tabs, bars or, where the header has none of them,
    spaces; or by what a first line such as `sep=;` says. Left out are the row names that pandas and
    R write, a first column without a name, and empty columns without one.

    Raises:
        DatasetError: It cannot be read so; the message does not name the file.
    """
    check_size(path.stat().st_size)
    file = _File(path, read_header(path))
    # Where digits are written unlike Python's, pandas must not take "1.234" for a number below 2.
    is_plain = reading.point == "." and reading.thousands is None
    as_text = [n for n in file.names if not is_plain or n in reading.categories]
    frame = file.read(as_text)
    if is_plain:
        as_text = [str(name) for name, column in frame.items() if _was_rounded(column)]
        if as_text:
            frame = frame.assign(**file.read_columns(as_text))
        if reading.decimal is None:
            _check_points(file, frame)
    return FrameTable(str(path), path.name, _without_nameless(frame), reading)


class _File:
    """A CSV file as pandas reads it.

    Args:
        path: Where it lies.
        header: Its header.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self._path = path
        self._header = header
        self.names = header.unique_names()

    def read(self, as_text: list[str]) -> pd.DataFrame:
        """Read it all; of the columns `as_text` nothing but text is made.

        Raises:
            DatasetError: A line has more fields than the header, or is not UTF-8.
        """
        pandas, delimiter = require("pandas"), self._header.delimiter
        broken = (
            pandas.errors.ParserError,
            pandas.errors.ParserWarning,
            pandas.errors.EmptyDataError,
        )
        try:
            with warnings.catch_warnings():
                # With index_col=False pandas cuts lines that are longer than the header and warns.
                warnings.simplefilter("error", pandas.errors.ParserWarning)
                frame: pd.DataFrame = pandas.read_csv(self._path, **self._how(as_text))
        except UnicodeDecodeError as error:
            raise not_utf8(self._path, error) from error
        except broken as error:
            msg = f"each line must have one field a column of the header ({str(error).strip()})"
            raise DatasetError(
                f"{msg}. Mend the line, or quote fields that hold {delimiter!r}"
            ) from error
        return frame

    def read_columns(self, names: list[str]) -> dict[str, pd.Series[Any]]:
        """Read some columns again, as text."""
        frame = require("pandas").read_csv(self._path, usecols=names, **self._how(names))
        return {name: frame[name] for name in names}

    def pieces(self, names: list[str]) -> Iterator[pd.DataFrame]:
        """Read some columns again, as text, some rows at a time."""
        read = require("pandas").read_csv
        how = self._how(names)
        with read(self._path, usecols=names, chunksize=_ROWS_AT_ONCE, **how) as pieces:
            yield from pieces

    def _how(self, as_text: list[str]) -> dict[str, Any]:
        return {
            "sep": self._header.delimiter,
            "encoding": "utf-8-sig",
            "header": 0,
            "names": self.names,
            "skiprows": self._header.lines_above,
            "dtype": dict.fromkeys(as_text, str),
            # Words such as "NA" are told apart later: among names they are a name.
            "keep_default_na": False,
            "na_values": [""],
            "index_col": False,
            "skipinitialspace": True,
            "low_memory": False,
        }


def _was_rounded(column: pd.Series[Any]) -> bool:
    """Say whether a column may have been whole numbers too long for float64: ids with a gap."""
    if column.dtype.kind != "f":
        return False
    return bool((np.abs(column.to_numpy()) >= _LARGEST_WHOLE).any())


def _check_points(file: _File, frame: pd.DataFrame) -> None:
    """Refuse columns in which points must be thousands separators, though pandas took decimals."""
    suspects = {
        str(name): PointsSeen()
        for name, column in frame.items()
        if column.dtype.kind == "f" and may_group_digits(column.to_numpy())
    }
    if not suspects:
        return
    for piece in file.pieces([*suspects]):
        for name, seen in suspects.items():
            if not seen.is_decimal:
                seen.see(piece[name].dropna().str.strip())
        if all(seen.is_decimal for seen in suspects.values()):
            return
    for name, seen in suspects.items():
        seen.check(name)


def _without_nameless(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out the first column if it has no name, and others without one if they are empty."""
    nameless = [name for name in frame.columns if name.startswith(NAMELESS)]
    for name in nameless:
        filled = frame[name].notna().to_numpy()
        if name != frame.columns[0] and filled.any():
            row = int(filled.argmax())
            raise DatasetError(
                f"column {list(frame.columns).index(name) + 1} has no name, but values "
                f"({str(frame[name].iloc[row])!r} in row {row + 1}). Name it, or remove it; if "
                "lines stand above the header, remove those"
            )
    return frame.drop(columns=nameless)
