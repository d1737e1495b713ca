"""Long tables of a user's own series: `unique_id`, `ds`, `y`, one row an observation.

What cannot be used is told apart by series: one that is broken is named with the reason and the
first place, and does not stop the others.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError, DatasetError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

COLUMNS = ("unique_id", "ds", "y")

_SEASONS = {"Y": 1, "Q": 4, "M": 12, "W": 52, "D": 7, "B": 5, "h": 24}
"""Usual observations in a season, by pandas' letter of the frequency."""
_CALENDAR = ("Y", "Q", "M", "W", "B")  # steps that are not equally long
_NEEDED_TO_INFER = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Own:
    """A series of a table.

    Args:
        values: In order of time, NaN where missing `[T]`.
        last: When the last one was measured: a timestamp, or a whole number.
    """

    values: Array
    last: Any


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """What a table holds.

    Args:
        series: By identity, in the table's order.
        problems: Why a series cannot be used, by identity.
        freq: pandas' name of the frequency; None where times are whole numbers.
        season_length: Observations in a season that are usual for it.
        was_sorted: Whether every series' rows were in order.
    """

    series: Mapping[Any, Own]
    problems: Mapping[Any, str] = field(default_factory=dict)
    freq: str | None
    season_length: int
    was_sorted: bool


def read_table(path: str | Path, freq: str | None = None) -> Table:
    """Read a CSV or Parquet file; a file without `unique_id` is one series.

    Raises:
        DatasetError: The file cannot be read, or lacks a column.
    """
    pandas = _pandas()
    path = Path(path)
    try:
        reader = pandas.read_parquet if path.suffix == ".parquet" else pandas.read_csv
        frame = reader(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as a table: {error}") from error
    if "unique_id" not in frame.columns:
        frame = frame.assign(unique_id=path.stem)
    return split_table(frame, freq)


def split_table(frame: pd.DataFrame, freq: str | None = None) -> Table:
    """Split a long table into series, and find what is wrong with each.

    Args:
        frame: With columns `unique_id`, `ds` (timestamps, text of such, or whole numbers) and `y`.
        freq: pandas' name of the frequency; found out from the longest series when None.

    Raises:
        DatasetError: A column is missing, there is no row, `ds` holds no times, or no frequency can
            be found.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise DatasetError(
            f"the table must have the columns {', '.join(COLUMNS)}; {', '.join(missing)} missing "
            f"among {list(frame.columns)[:20]}"
        )
    if not len(frame):
        raise DatasetError("the table has no row")
    times = _times(frame["ds"])
    keys = frame["unique_id"].to_numpy()
    order = np.lexsort((times.astype("int64").to_numpy(), _codes(keys)))
    was_sorted = bool((np.diff(order) > 0).all())
    codes = _codes(keys)[order]
    times, ordered_keys = times.iloc[order].reset_index(drop=True), keys[order]
    y = frame["y"].to_numpy()[order]
    edges = np.flatnonzero(np.diff(codes)) + 1
    parts = list(zip([0, *edges], [*edges, len(codes)], strict=True))
    is_number = times.dtype.kind == "i"
    freq = None if is_number else (freq or _infer(times, parts))
    series: dict[Any, Own] = {}
    problems: dict[Any, str] = {}
    steps = _ordinals(times, freq)
    width = _step(freq)
    for start, end in parts:
        key = ordered_keys[start]
        try:
            _check_steps(steps[start:end], times.iloc[start:end], width, freq)
            series[key] = Own(values=_numbers(y[start:end]), last=times.iloc[end - 1])
        except DatasetError as error:
            problems[key] = str(error)
    return Table(
        series=series,
        problems=problems,
        freq=freq,
        season_length=1 if freq is None else _SEASONS.get(_letter(freq), 1),
        was_sorted=was_sorted,
    )


def following(last: Any, freq: str | None, num: int) -> list[Any]:
    """Return the times of the `num` observations after `last`."""
    if freq is None:
        return [int(last) + k for k in range(1, num + 1)]
    offset = importlib.import_module("pandas.tseries.frequencies").to_offset(freq)
    return [last + k * offset for k in range(1, num + 1)]


# ------------------------------------------------------------------------------------- the insides


def _pandas() -> Any:
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise MissingExtraError(
            f"tables need the package 'pandas' ({error}); "
            'install it with: pip install "hpo-control[forecast]"'
        ) from error


def _codes(keys: NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray(_pandas().factorize(keys)[0], dtype=np.int64)


def _times(column: pd.Series[Any]) -> pd.Series[Any]:
    pandas = _pandas()
    if column.isna().any():
        place = int(np.flatnonzero(column.isna())[0])
        raise DatasetError(f"ds must not be missing; it is in row {place}")
    if pandas.api.types.is_integer_dtype(column):
        return column.astype(np.int64)
    if pandas.api.types.is_float_dtype(column):
        raise DatasetError("ds must be timestamps or whole numbers; got fractions")
    try:
        found: pd.Series[Any] = pandas.to_datetime(column)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"ds must be timestamps or whole numbers: {error}") from error
    if not pandas.api.types.is_datetime64_any_dtype(found):
        raise DatasetError("ds must be in one time zone, or in none; got several")
    return found


def _infer(times: pd.Series[Any], parts: list[tuple[int, int]]) -> str:
    """Find the frequency of the longest series that has one without gaps."""
    pandas = _pandas()
    longest = sorted(parts, key=lambda part: part[0] - part[1])[:50]
    for start, end in longest:
        if end - start >= _NEEDED_TO_INFER:
            with warnings.catch_warnings():  # pandas 3 announces that 4 returns an offset
                warnings.simplefilter("ignore")
                found = pandas.infer_freq(times.iloc[start:end])
            if found is not None:
                return str(getattr(found, "freqstr", found))
    raise DatasetError(
        "no frequency can be found in ds: is there a gap in every series, or are there fewer than "
        "three rows of each? Give freq, for instance 'MS', 'QE' or 'D'"
    )


def _letter(freq: str) -> str:
    """Return the letter of a frequency: "M" of "MS", "ME"; "Q" of "QS-OCT"."""
    base = freq.partition("-")[0].lstrip("0123456789")
    if len(base) > 1 and base[0] == "B":  # the last working day of a month is a day of the month
        base = base[1:]
    return base[0] if base[:1] in ("Y", "Q", "M", "W") else base


def _step(freq: str | None) -> int:
    """Return how far apart neighbours' ordinals are."""
    digits = "" if freq is None else freq[: len(freq) - len(freq.lstrip("0123456789"))]
    if freq is not None and _letter(freq) not in _CALENDAR:
        try:
            return int(_pandas().Timedelta(freq if digits else f"1{freq}").value)
        except ValueError as error:
            raise ConfigurationError(f"freq {freq!r} is not known: {error}") from error
    return int(digits or 1)


def _ordinals(times: pd.Series[Any], freq: str | None) -> NDArray[np.int64]:
    """Number the steps, so that neighbours differ by `_step`."""
    if freq is None:
        return times.to_numpy().astype(np.int64)
    if _letter(freq) in _CALENDAR:
        local = times.dt.tz_localize(None)
        if _letter(freq) == "B":
            days = local.to_numpy().astype("datetime64[D]")
            return np.asarray(np.busday_count(np.datetime64(0, "D"), days), dtype=np.int64)
        name = freq if _letter(freq) == "W" else _letter(freq)
        try:
            return np.asarray(local.dt.to_period(name).array.asi8, dtype=np.int64)
        except ValueError as error:
            raise ConfigurationError(f"freq {freq!r} is not known: {error}") from error
    universal = times if times.dt.tz is None else times.dt.tz_convert("UTC").dt.tz_localize(None)
    return universal.to_numpy().astype("datetime64[ns]").astype(np.int64)


def _check_steps(
    steps: NDArray[np.int64], times: pd.Series[Any], width: int, freq: str | None
) -> None:
    gaps = np.diff(steps)
    wrong = np.flatnonzero(gaps != width)
    if not len(wrong):
        return
    place = int(wrong[0])
    before, after = times.iloc[place], times.iloc[place + 1]
    if gaps[place] == 0 and before == after:
        raise DatasetError(f"{before} is there twice")
    what = "a step of 1" if freq is None else f"frequency {freq!r}"
    raise DatasetError(
        f"the times must follow one another with {what}; after {before} comes {after}"
    )


def _numbers(values: NDArray[Any]) -> Array:
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        for place, value in enumerate(values):
            if not isinstance(value, int | float | np.number) and value is not None:
                raise DatasetError(f"y must be numbers; observation {place} is {value!r}") from None
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
