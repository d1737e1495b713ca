"""Texts that are numbers: signs, units, digits of any script, and what spreadsheets add to them.

What a cell holds beside its number is taken off only where nothing is lost by it: quotation marks,
Excel's `="5"`, and the units that the user names. Units that mean different sizes of one thing
are refused in one column.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.dresses import SIGN
from hpo_env.datasets.narrowing import check_gaps_in_whole
from hpo_env.datasets.reading import Reading
from hpo_env.errors import DatasetError

_MINUS = "\u2212"
_QUOTES = "\"'`´“”„‟‘’‚«»"
_BOUNDS = frozenset("<>≤≥~=")
_SCALES = frozenset({"%", "‰", "k", "m", "mn", "mio", "b", "bn", "mrd"})
"""Units, in lower case, that multiply: "5k" is not the 5 that stands beside it without a unit."""

_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_LARGEST_WHOLE = 2.0**53
_MAX_EXAMPLES = 3


def parse_numbers(texts: Sequence[str], reading: Reading) -> NDArray[np.float64]:
    """Read texts as numbers.

    Args:
        texts: Stripped.
        reading: Decimal point, thousands separator and units.

    Returns:
        One number a text; NaN where it is none.

    Example:
        >>> parse_numbers(["1,5", '="2"', "x"], Reading.of(decimal=",")).tolist()
        [1.5, 2.0, nan]
    """
    pattern = reading.number_pattern()
    bare = _without_units(reading)
    values = np.full(len(texts), np.nan)
    for index, text in enumerate(texts):
        written = bare(text.replace(_MINUS, "-"))
        if not pattern.fullmatch(written):
            written = bare(_plainer(text))
            if not pattern.fullmatch(written):
                continue
        if reading.thousands is not None:
            written = written.replace(reading.thousands, "")
        values[index] = float(written.replace(reading.point, "."))
    return values


def exact_if_whole(
    texts: Sequence[str], numbers: NDArray[np.float64], *, is_gapless: bool, column: str
) -> NDArray[np.float64] | NDArray[np.int64] | NDArray[np.uint64]:
    """Keep whole numbers that float64 would round.

    Args:
        texts: Stripped.
        numbers: What they are as float64; NaN where one is missing.
        is_gapless: Whether every row has one.
        column: Their column, for the error.

    Returns:
        `numbers`, or the same as 64-bit integers.

    Raises:
        DatasetError: They are rounded, and there are gaps, or they have more than 64 bits.
    """
    if not (np.abs(numbers) >= _LARGEST_WHOLE).any():
        return numbers
    known = ~np.isnan(numbers)
    given = [_plainer(text) for text, is_known in zip(texts, known, strict=True) if is_known]
    if not all(_WHOLE.fullmatch(text) for text in given):
        return numbers
    whole = [int(text[:400]) for text in given]
    low, high = min(whole), max(whole)
    if is_gapless and len(given) == len(texts):
        if low >= -(2**63) and high < 2**63:
            return np.array(whole, dtype=np.int64)
        if low >= 0 and high < 2**64:
            return np.array(whole, dtype=np.uint64)
    elif high < 2**64 and low >= -(2**63):
        check_gaps_in_whole(low, high, name=f"column {column!r}")
    if len(set(whole)) > len(np.unique(numbers[known])):
        raise DatasetError(
            f"column {column!r} has whole numbers of more than 64 bits, which would be rounded "
            f"until some are the same: {str(low)[:40]} to {str(high)[:40]}. Remove it, if it is an "
            "ID, or divide it"
        )
    return numbers


def check_one_unit(
    texts: Sequence[str], numbers: NDArray[np.float64], reading: Reading, *, column: str
) -> None:
    """Refuse a column in which numbers of several units would be taken for the same.

    Raises:
        DatasetError: There are two of the units that `reading` names (bounds such as "<" do not
            count); or one that multiplies, such as "k", beside numbers that have none.
    """
    if not reading.units:
        return
    examples: dict[str, str] = {}
    for text, number in zip(texts, numbers, strict=True):
        if number != 0.0 and not np.isnan(number):
            examples.setdefault(_unit_of(text, reading), text)
    bare = examples.pop("", None)
    multiplies = [unit for unit in examples if unit.lower() in _SCALES]
    if len(examples) < 2 and not (bare is not None and multiplies):
        return
    mixed = [*examples.values(), *([] if bare is None else [bare])][:_MAX_EXAMPLES]
    raise DatasetError(
        f"column {column!r} must have one unit; without units={[*examples]} its values "
        f"{', '.join(map(repr, mixed))} would be taken for the same. Write them all in one unit"
    )


def _unit_of(text: str, reading: Reading) -> str:
    """Return the unit that is named and stands in the text; "" where none does."""
    found = [unit for unit in reading.units if unit in text and not _BOUNDS.issuperset(unit)]
    return max(found, key=len, default="")


def _plainer(text: str) -> str:
    """Take off what spreadsheets put around a number, and write it with the digits 0 to 9."""
    text = text.removeprefix("=").strip(_QUOTES).replace(_MINUS, "-").strip()
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(letter, letter)) for letter in text)


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
