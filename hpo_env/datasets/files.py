"""A user's own table: CSV, Parquet or NPZ.

Everything that would make a task of the file meaningless is refused here, before any training,
with what is wrong, what is allowed and how to fix it.

Axes: R rows, D features.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Dataset, Kind
from hpo_env.datasets.encoding import (
    MAX_LEVELS,
    encode_features,
    encode_target,
    infer_kind,
    is_text,
)
from hpo_env.datasets.extras import require
from hpo_env.errors import DatasetError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet", ".npz")
MIN_ROWS = 30  # fewer cannot be cut into training, validation and test rows that mean anything
FREE_TEXT_SHARE = 0.5  # of a text column's values distinct: names or sentences, not categories
_DELIMITERS = ",;\t"
_ROW_NUMBERS = re.compile(r"__index_level_\d+__")  # what pandas calls an index without a name


def load_file(path: str | Path, *, target: str, kind: Kind | None = None) -> Dataset:
    """Load a table from a file.

    A CSV or Parquet file has one row an example and named columns: numbers, booleans, dates or
    categories (see `encoding.py` for what becomes of them). CSV is UTF-8 with a header line;
    fields are separated by commas, semicolons or tabs. An NPZ file has `x` `[R, D]` (or images
    `[R, channels, height, width]`) and the array `[R]` that `target` names; `feature_names` `[D]`
    may be given. All rows are kept. Columns that never vary are left out, and so are the row
    numbers that pandas writes: a CSV column without a name, `__index_level_0__` in Parquet.

    Args:
        path: Ends in `.csv`, `.parquet` or `.npz`.
        target: The column (array, in an NPZ file) to predict.
        kind: What the target is. None: text, booleans, and whole numbers with at most 20 distinct
            values are classes; everything else is regression.

    Returns:
        The data set, named after the file; its arrays are read-only.

    Raises:
        DatasetError: The file cannot be read, or makes no task; the message says why and what to
            do about it.
        UnknownNameError: `kind` is neither "classification" nor "regression".
        MissingExtraError: CSV or Parquet without the extra `data`.
    """
    path = Path(path)
    if kind is not None and kind not in get_args(Kind):
        raise unknown_name("kind of target", kind, get_args(Kind))
    if path.suffix.lower() not in SUFFIXES:
        msg = f"{path}: the file's name must end in {', '.join(SUFFIXES)}; got {path.suffix!r}"
        raise DatasetError(f"{msg}. Save the table as one of these")
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise DatasetError(f"{path}: {what}. Give the path of an existing file{_near_file(path)}")
    if path.suffix.lower() == ".npz":
        dataset = _from_npz(path, target=target, kind=kind)
    else:
        read = _read_csv if path.suffix.lower() == ".csv" else _read_parquet
        dataset = _from_frame(read(path), path, target=target, kind=kind)
    dataset.x.setflags(write=False)
    dataset.y.setflags(write=False)
    return dataset


def _near_file(path: Path) -> str:
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f"; beside it lies {near[0]!r}" if near else ""


# --- CSV and Parquet ------------------------------------------------------------------------------


def _read_csv(path: Path) -> pd.DataFrame:
    pandas = require("pandas")
    header, delimiter = _read_header(path)
    _check_names(header, path)
    broken = (pandas.errors.ParserError, pandas.errors.ParserWarning, pandas.errors.EmptyDataError)
    try:
        with warnings.catch_warnings():
            # With index_col=False pandas cuts lines that are longer than the header and only warns.
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            frame: pd.DataFrame = pandas.read_csv(
                path,
                sep=delimiter,
                encoding="utf-8-sig",
                index_col=False,
                skipinitialspace=True,
                low_memory=False,
            )
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error
    except broken as error:
        msg = f"{path}: each line must have one field a column of the header ({str(error).strip()})"
        raise DatasetError(
            f"{msg}. Mend the line, or quote fields that hold {delimiter!r}"
        ) from error
    frame.columns = pandas.Index(header)
    return frame.drop(columns=[name for name in header if not name])


def _read_header(path: Path) -> tuple[list[str], str]:
    """Read the names before pandas does: it renames repeated ones without a word."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
            delimiter = max(_DELIMITERS, key=first.count)
            lines.seek(0)
            header = next(csv.reader(lines, delimiter=delimiter, skipinitialspace=True), [])
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error
    except csv.Error as error:
        raise DatasetError(f"{path}: the header line cannot be read ({error}). Mend it") from error
    if not header:
        msg = f"{path}: the first line must name the columns; it is empty"
        raise DatasetError(f"{msg}. Write a header line and at least {MIN_ROWS} rows")
    return [name.strip() for name in header], delimiter


def _not_utf8(path: Path, error: UnicodeDecodeError) -> DatasetError:
    with path.open("rb") as file:
        is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "UTF-16" if is_utf16 else "ISO-8859-1"
    guess = "UTF-16" if is_utf16 else "Latin-1 (ISO-8859-1) or Windows-1252"
    byte = error.object[error.start]
    msg = f"{path}: the file must be UTF-8; byte 0x{byte:02x} is not, so it may be {guess}"
    fix = f"iconv -f {encoding} -t UTF-8 {path.name} > {path.stem}-utf8.csv"
    return DatasetError(f"{msg}. Save it as UTF-8, or convert it: {fix}")


def _read_parquet(path: Path) -> pd.DataFrame:
    pyarrow, parquet = require("pyarrow"), require("pyarrow.parquet")
    require("pandas")
    try:
        table = parquet.ParquetFile(path).read()
        _check_names(table.column_names, path)
        for index, field in enumerate(table.schema):
            _check_type(field, pyarrow.types, path)
            if pyarrow.types.is_decimal(field.type):  # pandas would make text of exact decimals
                table = table.set_column(index, field.name, table.column(index).cast("float64"))
        frame: pd.DataFrame = table.to_pandas(date_as_object=False, ignore_metadata=True)
    except DatasetError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        msg = f"{path}: this cannot be read as Parquet ({str(error).strip()})"
        raise DatasetError(f"{msg}. Write it again, e.g. with DataFrame.to_parquet") from error
    return frame.drop(columns=[name for name in frame if _ROW_NUMBERS.fullmatch(str(name))])


def _check_type(field: Any, types: Any, path: Path) -> None:
    refused = (types.is_nested, types.is_binary, types.is_large_binary, types.is_time)
    if any(is_refused(field.type) for is_refused in (*refused, types.is_duration)):
        msg = f"{path}: columns must hold numbers, booleans, dates or text; {field.name!r} holds"
        raise DatasetError(f"{msg} {field.type}. Remove it, or turn it into numbers")


def _check_names(names: Sequence[str], path: Path) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        msg = f"{path}: column names must be distinct; {_quoted(repeated)} occur(s) more than once"
        raise DatasetError(f"{msg}. Rename or remove the copies")


def _from_frame(frame: pd.DataFrame, path: Path, *, target: str, kind: Kind | None) -> Dataset:
    _check_target_name(target, [str(name) for name in frame.columns], path, what="column")
    _check_rows(len(frame), path)
    features = frame.drop(columns=[target])
    _check_columns(features, path)
    values = frame[target]
    _check_target_missing(int(values.isna().sum()), path, target)
    numeric = not is_text(values)
    y_raw = values.to_numpy() if numeric else values.astype(str).to_numpy(dtype=object)
    x, feature_names = encode_features(features)
    return _build(x, y_raw, feature_names, path, target=target, kind=kind)


def _check_columns(features: pd.DataFrame, path: Path) -> None:
    empty = [str(name) for name in features.columns if features[name].isna().all()]
    if empty:
        msg = f"{path}: every column needs at least one value; {_quoted(empty)} has/have none"
        raise DatasetError(f"{msg}. Remove the column(s)")
    for name in features.columns:
        if is_text(features[name]):
            _check_categories(features[name], path)
        else:
            _check_finite(features[name], path)


def _check_categories(column: pd.Series[Any], path: Path) -> None:
    values = column.dropna().astype(str)
    distinct = values.nunique()
    if distinct > max(MAX_LEVELS, FREE_TEXT_SHARE * len(values)):
        examples = _quoted(values.head(2).tolist())
        msg = (
            f"{path}: text column {str(column.name)!r} must hold categories; {distinct} of its "
            f"{len(values)} values are distinct (e.g. {examples})"
        )
        raise DatasetError(f"{msg}. Remove it, or turn it into numbers or a few categories")


def _check_finite(column: pd.Series[Any], path: Path) -> None:
    if not require("pandas.api.types").is_numeric_dtype(column):
        return  # dates
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    _check_range(numbers, path, where=f"column {str(column.name)!r}")


# --- NPZ --------------------------------------------------------------------------------------


def _from_npz(path: Path, *, target: str, kind: Kind | None) -> Dataset:
    arrays = _read_npz(path)
    if "x" not in arrays:
        msg = f"{path}: an NPZ file needs an array 'x' of shape [R, D]; got {_quoted(arrays)}"
        raise DatasetError(f"{msg}. Write it with numpy.savez(path, x=x, {target}=y)")
    others = [name for name in arrays if name not in ("x", "feature_names")]
    _check_target_name(target, others, path, what="array")
    x, y = arrays["x"], arrays[target]
    if x.ndim not in (2, 4) or x.dtype.kind not in "biuf":
        msg = f"{path}: 'x' must be numbers of shape [R, D] or [R, channels, height, width]"
        raise DatasetError(f"{msg}; got {x.dtype} of shape {x.shape}. Reshape or encode it")
    if y.shape != x.shape[:1]:
        msg = f"{path}: {target!r} must have one entry a row of 'x', shape {x.shape[:1]}"
        raise DatasetError(f"{msg}; got shape {y.shape}. Labels are not one-hot here")
    _check_rows(len(x), path)
    image_shape = None if x.ndim == 2 else (int(x.shape[1]), int(x.shape[2]), int(x.shape[3]))
    flat = x.reshape(len(x), -1).astype(np.float64)
    names = _npz_feature_names(arrays, flat.shape[1], path)
    _check_range(flat, path, where="array 'x'")
    empty = [names[d] for d in np.flatnonzero(np.isnan(flat).all(axis=0))]
    if empty:
        msg = f"{path}: every column of 'x' needs at least one value; {_quoted(empty)} has none"
        raise DatasetError(f"{msg}. Remove the column(s)")
    if y.dtype.kind == "f":
        _check_target_missing(int(np.isnan(y).sum()), path, target)
    if image_shape is None:
        varies = np.nanmin(flat, axis=0) < np.nanmax(flat, axis=0)
        flat, names = flat[:, varies], [n for n, v in zip(names, varies, strict=True) if v]
    x32 = flat.astype(np.float32)
    return _build(x32, y, tuple(names), path, target=target, kind=kind, image_shape=image_shape)


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no zip archive, or was cut short")
        # Opened here, as numpy leaves a file that it opened and could not read open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "Object arrays" in str(error):
            msg = f"{path}: object arrays are refused, as reading them can run foreign code"
            raise DatasetError(f"{msg}. Save numbers, or text as dtype '<U..'") from error
        msg = f"{path}: this cannot be read as NPZ ({error})"
        raise DatasetError(f"{msg}. Write it with numpy.savez(path, x=x, y=y)") from error


def _npz_feature_names(arrays: dict[str, NDArray[Any]], num_features: int, path: Path) -> list[str]:
    if "feature_names" not in arrays:
        return [f"x{d}" for d in range(num_features)]
    names = [str(name) for name in arrays["feature_names"].ravel()]
    if len(names) != num_features:
        msg = f"{path}: 'feature_names' must have D={num_features} entries; got {len(names)}"
        raise DatasetError(f"{msg}. Leave it out to have them numbered")
    _check_names(names, path)
    return names


# --- Rules that hold for every kind of file ---------------------------------------------------


def _build(
    x: NDArray[np.float32],
    y_raw: NDArray[Any],
    feature_names: tuple[str, ...],
    path: Path,
    *,
    target: str,
    kind: Kind | None,
    image_shape: tuple[int, int, int] | None = None,
) -> Dataset:
    if not feature_names:
        msg = f"{path}: at least one column besides {target!r} must vary; none does"
        raise DatasetError(f"{msg}. Add columns to predict it from")
    if y_raw.dtype.kind == "f":
        _check_range(y_raw, path, where=f"target {target!r}")
    kind = infer_kind(y_raw) if kind is None else kind
    try:
        y, class_names = encode_target(y_raw, kind, name=target)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error
    if len(class_names) > len(y) / 2:
        msg = f"{path}: target {target!r} has {len(class_names)} classes in {len(y)} rows"
        raise DatasetError(f"{msg}, at most half as many are allowed. Is it kind='regression'?")
    return Dataset(
        name=path.name,
        kind=kind,
        x=x,
        y=y,
        feature_names=feature_names,
        num_classes=len(class_names),
        image_shape=image_shape,
        class_names=class_names,
    )


def _check_target_name(target: str, names: Sequence[str], path: Path, *, what: str) -> None:
    if target in names:
        return
    near = difflib.get_close_matches(target, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    msg = f"{path}: there is no {what} {target!r} to predict{hint} The {what}s are"
    raise DatasetError(f"{msg}: {_quoted(names)}")


def _check_rows(num_rows: int, path: Path) -> None:
    if num_rows < MIN_ROWS:
        msg = f"{path}: at least {MIN_ROWS} rows are needed for training, validation and test"
        raise DatasetError(f"{msg}; got {num_rows}. Add rows")


def _check_target_missing(num_missing: int, path: Path, target: str) -> None:
    if num_missing:
        msg = f"{path}: target {target!r} must be given in every row; {num_missing} lack(s) it"
        raise DatasetError(f"{msg}. Remove those rows or fill them in")


def _check_range(numbers: NDArray[Any], path: Path, *, where: str) -> None:
    count = int((np.abs(numbers) > np.finfo(np.float32).max).sum())
    if count:
        msg = f"{path}: {where} must be finite (and fit float32); {count} value(s) do not"
        raise DatasetError(f"{msg}. Replace them, or leave the cell empty if unknown")


def _quoted(names: Sequence[str] | dict[str, NDArray[Any]], limit: int = 30) -> str:
    listed = [repr(str(name)) for name in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
