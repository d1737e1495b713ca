"""The header line of a CSV file: the names of its columns, and what stands between fields."""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from hpo_env.datasets.tables import MIN_ROWS, check_names
from hpo_env.errors import DatasetError

SPACES = r"\s+"
"""The delimiter of files whose fields are separated by any number of spaces."""

NAMELESS = "\0"
"""What stands before the number of a column that has no name, in place of one."""

_DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"[^"]*"')
_SEP_LINE = re.compile(r'"?sep=([^\w"])"?\s*', re.IGNORECASE)
"""What Excel writes above the header, and reads, to say its delimiter."""

_MAX_HEADER = 2**24
"""Characters of the longest header line; a longer first line is no header of a table."""

_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)

_BY_NULS: dict[tuple[bool, ...], str] = {
    (False, True, False, True): "UTF-16LE",
    (True, False, True, False): "UTF-16BE",
    (False, True, True, True): "UTF-32LE",
    (True, True, True, False): "UTF-32BE",
}
"""Encodings of Latin letters by which of the first four bytes are 0."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the first lines of a CSV file say.

    Args:
        names: Of the columns, in order, stripped; "" where there is none.
        delimiter: One character, or `SPACES`.
        lines_above: Lines before the header that are no part of the table, 0 or 1.
    """

    names: list[str]
    delimiter: str
    lines_above: int

    def unique_names(self) -> list[str]:
        """Name each column, also those that have no name."""
        return [name or f"{NAMELESS}{index}" for index, name in enumerate(self.names)]


def read_header(path: Path) -> Header:
    """Read the header line, before pandas does: it renames repeated names without a word.

    Raises:
        DatasetError: It is no header; or not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            header = _read(lines)
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error
    except csv.Error as error:
        raise DatasetError(f"the header line cannot be read ({error}). Mend it") from error
    if any("\0" in name for name in header.names):
        encoding = _encoding(path)
        fix = f" as UTF-8, {_conversion(path, encoding)}" if encoding else ", it is damaged"
        raise DatasetError(f"the header must be text; it holds NUL characters. Save it again{fix}")
    if not any(header.names):
        msg = "the first line must name the columns; it is empty"
        raise DatasetError(f"{msg}. Write a header line and at least {MIN_ROWS} rows")
    check_names([name for name in header.names if name])
    return header


def _read(lines: TextIO) -> Header:
    first = lines.readline(_MAX_HEADER)
    said = _SEP_LINE.fullmatch(first.lstrip("\ufeff"))
    if said:
        first = lines.readline(_MAX_HEADER)
    if len(first) == _MAX_HEADER:
        msg = f"the first line must name the columns; it has over {_MAX_HEADER:,} characters"
        raise DatasetError(f"{msg}. Is it CSV?")
    delimiter = said[1] if said else _delimiter(first)
    lines.seek(0)
    if said:
        lines.readline()
    reader: Any = csv.reader(
        lines, delimiter=" " if delimiter == SPACES else delimiter, skipinitialspace=True
    )
    names: list[str] = next(reader, [])
    if delimiter == SPACES and names and not names[-1]:
        names = names[:-1]  # spaces at the end of the line
    return Header([name.strip(" \t\ufeff") for name in names], delimiter, int(bool(said)))


def _delimiter(first_line: str) -> str:
    bare = _QUOTED.sub("", first_line)
    delimiter = max(_DELIMITERS, key=bare.count)
    return SPACES if delimiter not in bare and " " in bare.strip() else delimiter


def not_utf8(path: Path, error: UnicodeDecodeError) -> DatasetError:
    """Return the error for a file of another encoding, with a guess at which."""
    encoding = _encoding(path) or "ISO-8859-1"
    guess = "Latin-1 (ISO-8859-1) or Windows-1252" if encoding == "ISO-8859-1" else encoding
    byte = error.object[error.start]
    msg = f"the file must be UTF-8; byte 0x{byte:02x} is not, so it may be {guess}"
    return DatasetError(f"{msg}. Save it as UTF-8, {_conversion(path, encoding)}")


def _encoding(path: Path) -> str | None:
    """Guess by a mark, or by where NUL stands beside the letters of a name."""
    with path.open("rb") as file:
        start = file.read(4)
    marked = next((name for mark, name in _ENCODINGS if start.startswith(mark)), None)
    return marked or _BY_NULS.get(tuple(byte == 0 for byte in start))


def _conversion(path: Path, encoding: str) -> str:
    command = f"iconv -f {encoding} -t UTF-8 {path.name} > {path.stem}-utf8.csv"
    return f"or convert it: {command}"
