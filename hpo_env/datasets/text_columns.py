"""Numbers and dates that arrive as text.

One `?` makes text of a whole column, and categories of its numbers. So a text column whose distinct
values are all numbers is read as numbers; one whose values are *mostly* numbers, or numbers and
dates in another dress, is refused with the cells, the rows and the option that reads it.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.digit_groups import PointsSeen
from hpo_env.datasets.dresses import find_dresses, quoted_json
from hpo_env.datasets.encoding import is_date, is_text
from hpo_env.datasets.extras import require
from hpo_env.datasets.number_texts import check_one_unit, exact_if_whole, parse_numbers
from hpo_env.datasets.reading import ISO, Reading
from hpo_env.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

MISSING_WORDS = frozenset(
    {"na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "none", "nil"}
)
"""Read as missing among numbers, in any case; among categories they are names like any other."""

_MOSTLY = 0.5
_BLANKS = " \t\r\n\f\v\x85\u00a0\u2007\u2009\u202f\u3000\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
"""What nobody sees at the ends of a cell: white space, joiners, marks of direction and encoding."""

_MAX_EXAMINED = 10_000  # distinct texts of a column that are looked at one by one
_MAX_PROBLEMS = 5
_MAX_EXAMPLES = 3


def read_text(frame: pd.DataFrame, reading: Reading) -> pd.DataFrame:
    """Turn text into what it is: numbers, dates, or categories.

    Args:
        frame: Distinct column names.
        reading: What the user says about its text.

    Returns:
        A frame of the same rows and columns. Text that is left is categories; cells that
        `reading.missing` names are missing.

    Raises:
        DatasetError: A column is mostly numbers or dates, but not all of it; or `reading` names a
            column that is not there, or dates that do not have their format.
    """
    _check_known([str(name) for name in frame.columns], reading)
    _check_repeated_header(frame)
    read: dict[Any, Any] = {}
    problems: list[str] = []
    for name, column in frame.items():
        try:
            read[name] = _read_column(column, reading)
        except DatasetError as error:
            problems.append(str(error))
    if problems:
        more = len(problems) - _MAX_PROBLEMS
        rest = f". And {more} more columns of this kind" if more > 0 else ""
        raise DatasetError(". ".join(problems[:_MAX_PROBLEMS]) + rest)
    result: pd.DataFrame = require("pandas").DataFrame(read, index=frame.index, copy=False)
    return result


def _check_known(columns: list[str], reading: Reading) -> None:
    for option, names in (
        ("dates", [name for name, _ in reading.dates]),
        ("categories", reading.categories),
    ):
        for name in names:
            if name not in columns:
                near = difflib.get_close_matches(name, columns, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise DatasetError(f"{option} names a column {name!r} that is not there{hint}")


def _check_repeated_header(frame: pd.DataFrame) -> None:
    """Refuse rows that say the names of all columns again; all columns are text if there are."""
    if frame.shape[1] < 2 or not all(is_text(column) for _, column in frame.items()):
        return
    repeats = np.ones(len(frame), dtype=bool)
    for name, column in frame.items():
        repeats[repeats] = column.to_numpy(dtype=object)[repeats] == name
        if not repeats.any():
            return
    rows = np.flatnonzero(repeats) + 1
    where = ", ".join(map(str, rows[:_MAX_EXAMPLES])) + (", …" if len(rows) > 3 else "")
    raise DatasetError(
        f"rows must be data; row {where} repeats the header, as in files that were joined. Remove "
        "the repeated header"
    )


def _read_column(column: pd.Series[Any], reading: Reading) -> pd.Series[Any]:
    name = str(column.name)
    formats = dict(reading.dates)
    if name in reading.categories:
        return column.where(column.isna(), column.astype(str))
    if name in formats and not is_date(column):
        return _read_dates(_Levels.of(column), formats[name], reading, column)
    if not is_text(column):
        return _without_sentinels(column, reading)
    if isinstance(column.dtype, require("pandas").CategoricalDtype):
        return column  # whoever wrote it says that it is categories
    levels = _Levels.of(column)
    is_missing = np.array([text in ("", *reading.missing) for text in levels.texts], dtype=bool)
    numbers = parse_numbers(levels.texts, reading)
    has_points = reading.point == "."
    if not has_points and np.isnan(numbers[~is_missing]).any():
        plain = parse_numbers(levels.texts, replace(reading, decimal=".", thousands=None))
        if not np.isnan(plain[~is_missing]).any():
            numbers, has_points = plain, True  # one table may hold columns of both ways of writing
    is_odd = np.isnan(numbers) & ~is_missing
    words = [text for text, odd in zip(levels.texts, is_odd, strict=True) if odd]
    if all(word.lower() in MISSING_WORDS for word in words) and len(words) < len(levels.texts):
        numbers[is_missing] = np.nan
        if has_points and reading.decimal != "." and reading.thousands is None:
            _check_points(levels, numbers)
        check_one_unit(levels.texts, numbers, reading, column=name)
        return _like(column, levels.spread(numbers))
    _check_mostly_text(levels, is_odd, is_missing, reading)
    texts = np.array([*levels.texts, None], dtype=object)
    texts[:-1][is_missing] = None
    return _like(column, texts[levels.codes])


def _check_points(levels: _Levels, numbers: NDArray[np.float64]) -> None:
    seen = PointsSeen()
    seen.see(text for text, number in zip(levels.texts, numbers, strict=True) if number == number)
    seen.check(levels.name)


def _like(column: pd.Series[Any], values: NDArray[Any]) -> pd.Series[Any]:
    dtype = object if values.dtype == object else None  # pandas would guess another
    series = require("pandas").Series(values, index=column.index, name=column.name, dtype=dtype)
    read: pd.Series[Any] = series
    return read


def _without_sentinels(column: pd.Series[Any], reading: Reading) -> pd.Series[Any]:
    """Make missing what `reading.missing` names by number, such as -999."""
    sentinels = parse_numbers(reading.missing, reading)
    sentinels = sentinels[~np.isnan(sentinels)]
    if not len(sentinels) or is_date(column) or not column.isin(sentinels).any():
        return column
    return column.mask(column.isin(sentinels))


@dataclass(frozen=True, slots=True)
class _Levels:
    """The distinct texts of a column, and which of them each row has.

    Args:
        name: The column's name.
        texts: Distinct values, stripped of white space at their ends.
        codes: Index of each row's text `[R]`; -1 where it is missing.
    """

    name: str
    texts: list[str]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, column: pd.Series[Any]) -> _Levels:
        try:
            codes, values = require("pandas").factorize(column)
        except Exception as error:  # types of others raise what they like
            raise DatasetError(
                f"column {str(column.name)!r} must hold numbers, booleans, dates or text; it holds "
                f"other objects ({error}). Remove it, or turn it into numbers"
            ) from error
        texts = [
            str(v).replace("\u00a0", " ").replace("\u202f", " ").strip(_BLANKS) for v in values
        ]
        return cls(str(column.name), texts, codes)

    def spread(self, numbers: NDArray[np.float64]) -> NDArray[Any]:
        """Give each row the number of its text; NaN where it is missing.

        Raises:
            DatasetError: They are whole, and too long for a type that has gaps.
        """
        is_gapless = bool((self.codes >= 0).all())
        exact = exact_if_whole(self.texts, numbers, is_gapless=is_gapless, column=self.name)
        if exact.dtype.kind != "f":
            return exact[self.codes]
        return np.append(exact, np.nan)[self.codes]

    def cells(self, which: Sequence[int]) -> str:
        """Name some of the texts with the rows that they are in, counted from 1."""
        named = []
        for level in which[:_MAX_EXAMPLES]:
            rows = np.flatnonzero(self.codes == level) + 1
            where = ", ".join(map(str, rows[:_MAX_EXAMPLES])) + (", …" if len(rows) > 3 else "")
            named.append(f"{_shortened(self.texts[level])!r} (row {where})")
        more = len(which) - _MAX_EXAMPLES
        return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def _read_dates(
    levels: _Levels, form: str, reading: Reading, column: pd.Series[Any]
) -> pd.Series[Any]:
    pandas = require("pandas")
    words = [t.lower() in MISSING_WORDS or t in ("", *reading.missing) for t in levels.texts]
    texts = [None if word else t for t, word in zip(levels.texts, words, strict=True)]
    try:
        dates = pandas.to_datetime(texts, format=form, errors="coerce", utc=True).tz_localize(None)
    except ValueError as error:
        raise DatasetError(
            f'dates must give a strftime format for {levels.name!r}, such as "%d.%m.%Y"; got '
            f"{form!r} ({error}). Mend it"
        ) from error
    bad = [i for i, text in enumerate(texts) if text is not None and dates[i] is pandas.NaT]
    if bad:
        how = "ISO 8601 (2026-01-31)" if form == ISO else f"of the format {form!r}"
        raise DatasetError(
            f"column {levels.name!r} must hold dates {how}; not so {levels.cells(bad)}. Say their "
            f'format, dates={{{quoted_json(levels.name)}: "%d.%m.%Y"}}, or missing=[…] for no date'
        )
    moments = np.append(dates.to_numpy(dtype="datetime64[us]"), np.datetime64("NaT"))
    return _like(column, moments[levels.codes])


def _check_mostly_text(
    levels: _Levels, is_odd: NDArray[np.bool_], is_missing: NDArray[np.bool_], reading: Reading
) -> None:
    """Refuse a column whose distinct texts are mostly numbers or dates."""
    odd = np.flatnonzero(is_odd).tolist()
    num_given = len(levels.texts) - int(is_missing.sum())
    num_plain = num_given - len(odd)
    odd = odd[:: len(odd) // _MAX_EXAMINED + 1]
    dressed = find_dresses(levels.texts, odd)
    share_dressed = len(dressed) / len(odd) if odd else 0.0
    if num_plain + share_dressed * (num_given - num_plain) <= _MOSTLY * num_given:
        return
    header = [i for i in odd if levels.texts[i] == levels.name]
    others = [i for i in odd if i not in dressed and i not in header]
    told, advice = [], []
    if header:
        told.append(f"{levels.cells(header)} repeats the header")
        advice.append("remove the repeated header (two files were joined)")
    for dress in dict.fromkeys(dressed.values()):
        told.append(f"{levels.cells([i for i in odd if dressed.get(i) == dress])}: {dress.what}")
        advice.append(dress.advice.format(column=quoted_json(levels.name)))
    if others:
        told.append(f"{levels.cells(others)} {'is' if len(others) == 1 else 'are'} none")
        advice.append(f"say missing={_listed([levels.texts[i] for i in others])}")
    share = f"{num_plain} of its {num_given} distinct values are plain numbers"
    raise DatasetError(
        f"column {levels.name!r} would become categories though it is mostly numbers or dates: "
        f"{share}; {'; '.join(told)}. To read it, {' and '.join(advice)}; if its values are names, "
        f"categories=[{quoted_json(levels.name)}]"
    )


def _listed(texts: Sequence[str]) -> str:
    shown = ", ".join(quoted_json(_shortened(text)) for text in texts[:_MAX_EXAMPLES])
    return f"[{shown}{', …' if len(texts) > _MAX_EXAMPLES else ''}]"
