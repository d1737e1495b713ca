"""Numbers and dates that arrive as text.

One `?` makes text of a whole column, and categories of its numbers. So a text column whose distinct
values are all numbers is read as numbers; one whose values are *mostly* numbers, or numbers and
dates in another dress, is refused with the cells, the rows and the option that reads it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.dresses import SIGN, find_dresses, quoted_json
from hpo_env.datasets.encoding import is_date, is_text
from hpo_env.datasets.extras import require
from hpo_env.datasets.reading import ISO, Reading
from hpo_env.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

MISSING_WORDS = frozenset(
    {"na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "none", "nil"}
)
"""Read as missing among numbers, in any case; among categories they are names like any other."""

_MOSTLY = 0.5
_MINUS = "\u2212"
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
    numbers = _numbers(levels.texts, reading)
    if reading.decimal != "." and np.isnan(numbers[~is_missing]).any():
        plain = _numbers(levels.texts, replace(reading, decimal=".", thousands=None))
        if not np.isnan(plain[~is_missing]).any():
            numbers = plain  # one table may hold columns of both ways of writing
    is_odd = np.isnan(numbers) & ~is_missing
    words = [text for text, odd in zip(levels.texts, is_odd, strict=True) if odd]
    if all(word.lower() in MISSING_WORDS for word in words) and len(words) < len(levels.texts):
        numbers[is_missing] = np.nan
        return _like(column, levels.spread(numbers))
    _check_mostly_text(levels, is_odd, is_missing, reading)
    texts = np.array([*levels.texts, None], dtype=object)
    texts[:-1][is_missing] = None
    return _like(column, texts[levels.codes])


def _like(column: pd.Series[Any], values: NDArray[Any]) -> pd.Series[Any]:
    dtype = object if values.dtype == object else None  # pandas would guess another
    series = require("pandas").Series(values, index=column.index, name=column.name, dtype=dtype)
    read: pd.Series[Any] = series
    return read


def _without_sentinels(column: pd.Series[Any], reading: Reading) -> pd.Series[Any]:
    """Make missing what `reading.missing` names by number, such as -999."""
    sentinels = _numbers(reading.missing, reading)
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
        except TypeError as error:
            raise DatasetError(
                f"column {str(column.name)!r} must hold numbers, booleans, dates or text; it holds "
                f"other objects ({error}). Remove it, or turn it into numbers"
            ) from error
        texts = [str(v).replace("\u00a0", " ").replace("\u202f", " ").strip() for v in values]
        return cls(str(column.name), texts, codes)

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give each row the value of its text; NaN where it is missing."""
        return np.append(values, np.nan)[self.codes]

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


def _numbers(texts: Sequence[str], reading: Reading) -> NDArray[np.float64]:
    """Read texts as numbers; NaN where one is none."""
    pattern = reading.number_pattern()
    number = _without_units(reading)
    values = np.full(len(texts), np.nan)
    for index, text in enumerate(texts):
        bare = number(text.replace(_MINUS, "-"))
        if pattern.fullmatch(bare):
            if reading.thousands is not None:
                bare = bare.replace(reading.thousands, "")
            values[index] = float(bare.replace(reading.decimal, "."))
    return values


def _without_units(reading: Reading) -> Callable[[str], str]:
    if not reading.units:
        return str
    unit = "|".join(map(re.escape, sorted(reading.units, key=len, reverse=True)))
    before = re.compile(rf"({SIGN})\s*(?:{unit})\s*(?=[\d.,+-])")
    after = re.compile(rf"(?<=[\d.,])\s*(?:{unit})")

    def bare(text: str) -> str:
        match = before.match(text)
        text = match[1] + text[match.end() :] if match else text
        found = [m for m in after.finditer(text) if m.end() == len(text)]
        return text[: found[0].start()] if found else text

    return bare


def _read_dates(
    levels: _Levels, form: str, reading: Reading, column: pd.Series[Any]
) -> pd.Series[Any]:
    pandas = require("pandas")
    words = [t.lower() in MISSING_WORDS or t in ("", *reading.missing) for t in levels.texts]
    texts = [None if word else t for t, word in zip(levels.texts, words, strict=True)]
    dates = pandas.to_datetime(texts, format=form, errors="coerce", utc=True).tz_localize(None)
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
