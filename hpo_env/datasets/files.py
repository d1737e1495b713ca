"""A user's own table: CSV, Parquet or NPZ.

Here the file is found, told for what it is and handed to its reader; `tables.py` has the rules for
what makes a task.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from hpo_env.datasets.base import Dataset, Kind
from hpo_env.datasets.csv_file import read_csv
from hpo_env.datasets.npz_file import read_npz
from hpo_env.datasets.parquet_file import read_parquet
from hpo_env.datasets.reading import Reading, ReadingOptions
from hpo_env.datasets.tables import Table, located
from hpo_env.errors import DatasetError, HPOControlError


@dataclass(frozen=True, slots=True)
class _Format:
    """A kind of file that is read.

    Args:
        name: What people call it.
        read: Its reader.
        fix: What to do when it cannot be read.
        mark: What the file starts with; empty where nothing is agreed on.
    """

    name: str
    read: Callable[[Path, Reading], Table]
    fix: str
    mark: bytes = b""


_FORMATS = {
    ".csv": _Format("CSV", read_csv, "Save it again as comma-separated UTF-8 text"),
    ".parquet": _Format(
        "Parquet", read_parquet, "Write it again, e.g. with DataFrame.to_parquet", b"PAR1"
    ),
    ".npz": _Format("NPZ", read_npz, "Write it with numpy.savez(path, x=x, y=y)", b"PK\x03\x04"),
}
SUFFIXES = tuple(_FORMATS)

_AS_ONE_OF_THESE = "Save the table as one of these"
_IS_TEXT = "If it is text with a header line, let its name end in .csv, whatever separates fields"
_OTHER_SUFFIXES = dict.fromkeys((".tsv", ".tab", ".txt", ".dat", ".data", ".psv"), _IS_TEXT) | {
    ".gz": "Unpack it: gunzip",
    ".bz2": "Unpack it: bunzip2",
    ".xz": "Unpack it: unxz",
    ".zst": "Unpack it: unzstd",
    ".zip": "Unpack it",
    ".xlsx": "Save the sheet as CSV",
    ".xls": "Save the sheet as CSV",
    ".pq": "If it is Parquet, let its name end in .parquet",
    ".parq": "If it is Parquet, let its name end in .parquet",
    ".npy": "Save it with numpy.savez(path, x=x, y=y)",
}
"""What to do with files whose names end so."""

_MARKS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzip", "Unpack it: gunzip"),
    (b"BZh", "bzip2", "Unpack it: bunzip2"),
    (b"\xfd7zXZ\x00", "xz", "Unpack it: unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "Unpack it: unzstd"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "Unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "Save the sheet as CSV"),
    (b"PAR1", "Parquet", "Let its name end in .parquet"),
    (b"ARROW1", "Feather", "Save it as Parquet: pandas.read_feather(path).to_parquet(...)"),
    (b"\x93NUMPY", "NPY, a single array", "Save it with numpy.savez(path, x=x, y=y)"),
    (b"\x89HDF", "HDF5", "Save the table as Parquet or CSV"),
    (b"SQLite format 3", "an SQLite database", "Save the table as CSV"),
    (b"%PDF", "PDF", "Save the table as CSV"),
    (b"<!doctype", "a page of HTML", "Download the table itself"),
    (b'{"', "JSON", "Save the table as CSV or Parquet"),
    (b"[{", "JSON", "Save the table as CSV or Parquet"),
    (b"<html", "a page of HTML", "Download the table itself"),
)
"""First bytes (letters of either case), what they say the file is, and what to do with it."""

_LONGEST_MARK = max(len(mark) for mark, _, _ in _MARKS)
_MAX_REASON = 300


def load_file(
    path: str | Path, *, target: str, kind: Kind | None = None, **options: Unpack[ReadingOptions]
) -> Dataset:
    """Load a table from a file.

    A CSV or Parquet file has one row an example and named columns: numbers, booleans, dates or
    categories (see `encoding.py` for what becomes of them). CSV is UTF-8 with a header line;
    fields are separated by commas, semicolons, tabs, bars or spaces. An NPZ file has `x` `[R, D]`
    (or images `[R, channels, height, width]`) and the array `[R]` that `target` names;
    `feature_names` `[D]` may be given. All rows are kept. Columns that never vary are left out, and
    so are the row names that pandas and R write: a first CSV column without a name, `Unnamed: 0`
    if it has row numbers, `__index_level_0__` in Parquet.

    Args:
        path: Ends in `.csv`, `.parquet` or `.npz`; `~` is the home folder.
        target: The column (array, in an NPZ file) to predict.
        kind: What the target is. None: text, booleans, and whole numbers with at most 20 distinct
            values are classes; everything else is regression.
        **options: How text is to be read: `decimal`, `thousands`, `missing`, `units`, `dates`,
            `categories`; see `Reading.of`.

    Returns:
        The data set, named after the file; its arrays are read-only.

    Raises:
        DatasetError: The file cannot be read, or makes no task; the message says why and what to
            do about it.
        ConfigurationError: An option is not one of those that its name allows.
        UnknownNameError: `kind` is neither "classification" nor "regression".
        MissingExtraError: CSV or Parquet without the extra `data`.
    """
    return open_table(path, Reading.of(**options)).dataset(target=target, kind=kind)


def open_table(path: str | Path, reading: Reading | None = None) -> Table:
    """Read a file, without saying yet what is to be predicted.

    Raises:
        DatasetError: It cannot be read.
        MissingExtraError: CSV or Parquet without the extra `data`.
    """
    path = absolute(path)
    with located(str(path)):
        suffix = path.suffix.lower()
        if suffix not in _FORMATS:
            msg = f"the file's name must end in {', '.join(SUFFIXES)}; got {path.suffix!r}"
            raise DatasetError(f"{msg}. {_OTHER_SUFFIXES.get(suffix, _AS_ONE_OF_THESE)}")
        form = _FORMATS[suffix]
        try:
            _check_is_there(path)
            _check_content(path, form)
            return form.read(path, Reading() if reading is None else reading)
        except HPOControlError:
            raise
        except Exception as error:  # what damaged files make foreign readers raise has no end
            reason = str(error).strip() or type(error).__name__
            msg = f"this cannot be read as {form.name} ({reason[:_MAX_REASON]})"
            raise DatasetError(f"{msg}. {form.fix}") from error


def absolute(path: str | Path) -> Path:
    """Make a path absolute, so that it means the same in every folder; `~` is the home folder.

    Raises:
        DatasetError: It cannot be a path, or there is no home folder.
    """
    try:
        return Path(os.path.abspath(Path(path).expanduser()))
    except (RuntimeError, TypeError, ValueError) as error:
        raise DatasetError(f"{str(path)!r} is no path ({error}). Give a text or a Path") from error


def _check_is_there(path: Path) -> None:
    if path.is_file():
        return
    what = "there is no such file"
    if path.exists():
        what = "it is a folder" if path.is_dir() else "it is no regular file"
    elif path.is_symlink():
        what = f"it is a link to {os.readlink(path)!r}, where there is no file"
    elif ":/" in str(path):
        what = "there is no such file, and nothing is fetched from the network: download it"
    raise DatasetError(f"{what}. Give the path of an existing file{_near_file(path)}")


def _near_file(path: Path) -> str:
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    beside = [name for name in beside if name != path.name]
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f"; beside it lies {near[0]!r}" if near else ""


def _check_content(path: Path, form: _Format) -> None:
    """Name what a file is whose name says something else."""
    with path.open("rb") as file:
        start = file.read(_LONGEST_MARK).lower()
    for mark, what, fix in _MARKS:
        if start.startswith(mark.lower()) and not form.mark.startswith(mark):
            msg = f"this cannot be read as {form.name}: by its first bytes it is {what}"
            raise DatasetError(f"{msg}. {fix}")
