"""CSV: the header and its delimiter, then the rows."""

from __future__ import annotations

import codecs
import csv
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_env.datasets.extras import require
from hpo_env.datasets.frame_table import FrameTable
from hpo_env.datasets.reading import Reading
from hpo_env.datasets.tables import MIN_ROWS, check_names, check_size
from hpo_env.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

_DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"[^"]*"')
_SPACES = r"\s+"
_MAX_HEADER = 2**24
"""Characters of the longest header line; a longer first line is no header of a table."""


def read_csv(path: Path, reading: Reading) -> FrameTable:
    """Read a CSV file: UTF-8, a header line, then one line a row.

    Fields are separated by commas, semicolons, tabs, bars or, where the header has none of them,
    spaces. The row numbers that pandas writes, a column without a name, are left out.

    Raises:
        DatasetError: It cannot be read so; the message does not name the file.
    """
    check_size(path.stat().st_size)
    header, delimiter = _read_header(path)
    check_names(header)
    frame = _read_rows(path, header, delimiter, reading)
    return FrameTable(
        str(path), path.name, frame.drop(columns=[n for n in header if not n]), reading
    )


def _read_rows(path: Path, header: list[str], delimiter: str, reading: Reading) -> pd.DataFrame:
    pandas = require("pandas")
    broken = (pandas.errors.ParserError, pandas.errors.ParserWarning, pandas.errors.EmptyDataError)
    # Where digits are written unlike Python's, pandas must not take "1.234" for a number below 2.
    is_plain = reading.decimal == "." and reading.thousands is None
    try:
        with warnings.catch_warnings():
            # With index_col=False pandas cuts lines that are longer than the header and only warns.
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            frame: pd.DataFrame = pandas.read_csv(
                path,
                sep=delimiter,
                encoding="utf-8-sig",
                header=0,
                names=header,
                dtype={name: str for name in header if not is_plain or name in reading.categories},
                # Words such as "NA" are told apart later: among names they are a name.
                keep_default_na=False,
                na_values=[""],
                index_col=False,
                skipinitialspace=True,
                low_memory=False,
            )
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error
    except broken as error:
        msg = f"each line must have one field a column of the header ({str(error).strip()})"
        raise DatasetError(
            f"{msg}. Mend the line, or quote fields that hold {delimiter!r}"
        ) from error
    return frame


def _read_header(path: Path) -> tuple[list[str], str]:
    """Read the names before pandas does: it renames repeated ones without a word."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.readline(_MAX_HEADER)
            if len(first) == _MAX_HEADER:
                msg = (
                    f"the first line must name the columns; it has over {_MAX_HEADER:,} characters"
                )
                raise DatasetError(f"{msg}. Is it CSV?")
            delimiter = _delimiter(first)
            lines.seek(0)
            reader: Any = csv.reader(
                lines, delimiter=" " if delimiter == _SPACES else delimiter, skipinitialspace=True
            )
            header: list[str] = next(reader, [])
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error
    except csv.Error as error:
        raise DatasetError(f"the header line cannot be read ({error}). Mend it") from error
    if not header:
        msg = "the first line must name the columns; it is empty"
        raise DatasetError(f"{msg}. Write a header line and at least {MIN_ROWS} rows")
    if delimiter == _SPACES and not header[-1]:
        header = header[:-1]  # spaces at the end of the line
    return [name.strip() for name in header], delimiter


def _delimiter(first_line: str) -> str:
    bare = _QUOTED.sub("", first_line)
    delimiter = max(_DELIMITERS, key=bare.count)
    return _SPACES if delimiter not in bare and " " in bare.strip() else delimiter


def _not_utf8(path: Path, error: UnicodeDecodeError) -> DatasetError:
    with path.open("rb") as file:
        is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "UTF-16" if is_utf16 else "ISO-8859-1"
    guess = "UTF-16" if is_utf16 else "Latin-1 (ISO-8859-1) or Windows-1252"
    byte = error.object[error.start]
    msg = f"the file must be UTF-8; byte 0x{byte:02x} is not, so it may be {guess}"
    fix = f"iconv -f {encoding} -t UTF-8 {path.name} > {path.stem}-utf8.csv"
    return DatasetError(f"{msg}. Save it as UTF-8, or convert it: {fix}")
