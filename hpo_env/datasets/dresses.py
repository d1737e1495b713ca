"""The dresses in which numbers and dates come as text, and the option that reads each."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST = 100  # characters of a number or a date; patterns go to and fro in longer texts
_MIN_WITH_UNIT = 3  # "2wd" and "4wd" are two categories, and lose nothing by it

SIGN, _CURRENCY = r"[+\-−]?", r"[$€£¥₹]"
_PLAIN = r"\d+(?:[.,]\d+)?"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_UNIT = re.compile(
    rf"{SIGN}\s*(?P<before>{_CURRENCY}|[A-Z]{{3}} )?\s*{SIGN}\s*(?:\d[\d.,' ]*\d|\d)\s*"
    rf"(?P<after>%|‰|{_CURRENCY}|°?(?!(?:st|nd|rd|th)$)[A-Za-zµ]+(?:/[A-Za-z0-9]+)?)?"
)


@dataclass(frozen=True, slots=True)
class Dress:
    """A way to write numbers or dates that needs an option.

    Args:
        what: What the values are, for people.
        pattern: How a value looks.
        advice: What to do to have it read; `{column}` is the column's name, quoted.
    """

    what: str
    pattern: re.Pattern[str]
    advice: str


def _dress(what: str, pattern: str, advice: str) -> Dress:
    return Dress(what, re.compile(pattern, re.IGNORECASE), advice)


_IN_ONE_UNIT = "write them as numbers of one unit, such as hours"
_FIRST_DAYS = "write the day on which each begins, like 2024-01-01"
_DECIMAL_COMMA = _dress("decimal commas", rf"{SIGN}\d*,\d+(e[+-]?\d+)?", 'say decimal=","')
_THOUSANDS_COMMA = _dress(
    "thousands separators",
    rf"{SIGN}[1-9]\d{{0,2}}(,\d{{3}})+(\.\d+)?",
    'say thousands="," (or decimal="," if they are decimals)',
)
_DRESSES = (
    _THOUSANDS_COMMA,
    _dress("thousands separators", rf"{SIGN}\d{{1,3}}('\d{{3}})+(\.\d+)?", 'say thousands="\'"'),
    _dress("thousands separators", rf"{SIGN}\d{{1,3}}( \d{{3}})+([.,]\d+)?", 'say thousands=" "'),
    _dress("thousands separators", rf"{SIGN}\d{{1,3}}(_\d{{3}})+(\.\d+)?", 'say thousands="_"'),
    _dress(
        "thousands separators and decimal commas",
        rf"{SIGN}\d{{1,3}}(\.\d{{3}})+(,\d+)?",
        'say thousands=".", decimal=","',
    ),
    _DECIMAL_COMMA,
    _dress("decimal points", rf"{SIGN}\d*\.\d+", 'say decimal="."'),
    _dress("bounds", rf"[<>≤≥~]=?\s*{SIGN}{_PLAIN}", 'say units=["<", ">"] to take the bound'),
    _dress("negative numbers in brackets", r"\([\d.,]+\)", "write them with a minus"),
    _dress("numbers with the minus behind", r"\d[\d.,]*\s*[-−]", "write the minus in front"),
    _dress("powers of ten with a D", rf"{SIGN}\d*[.,]?\d+D[+-]?\d+", "write them with an E"),
    _dress("durations", r"\d+ days?,? .*\d", _IN_ONE_UNIT),
    _dress(
        "durations",
        r"(?=.*[dhms].*[hms])(\d+ ?d ?)?(\d+ ?h ?)?(\d+ ?m(in)? ?)?(\d+ ?s)?",
        _IN_ONE_UNIT,
    ),
    _dress("quarters or weeks", r"\d{4}[- ]?[QWK]\d{1,2}|Q[1-4][- /]\d{4}", _FIRST_DAYS),
    _dress("clock times", r"\d{1,2}:\d{2}", 'say dates={{{column}: "%H:%M"}}'),
    _dress("clock times", r"\d{1,2}:\d{2}:\d{2}", 'say dates={{{column}: "%H:%M:%S"}}'),
    _dress("clock times", r"\d{1,2}:\d{2}:\d{2}\.\d+", 'say dates={{{column}: "%H:%M:%S.%f"}}'),
    _dress("clock times", r"\d{1,2}(:\d{2})?\s*[ap]m", 'say dates={{{column}: "%I:%M %p"}}'),
    _dress("dates", r"\d{4}-\d{2}(-\d{2}([T ]\d{2}:.*)?)?", "say dates=[{column}]"),
    _dress("dates", r"\d{1,2}\.\d{1,2}\.\d{4}", 'say dates={{{column}: "%d.%m.%Y"}}'),
    _dress("dates", r"\d{4}/\d{1,2}/\d{1,2}", 'say dates={{{column}: "%Y/%m/%d"}}'),
    _dress(
        "dates",
        r"\d{1,2}/\d{1,2}/\d{4}",
        'say dates={{{column}: "%m/%d/%Y"}} (or "%d/%m/%Y")',
    ),
    _dress("dates", rf"\d{{1,2}}[ -]{_MONTH}[ -]\d{{4}}", 'say dates={{{column}: "%d %b %Y"}}'),
    _dress("dates", rf"{_MONTH} \d{{1,2}}, \d{{4}}", 'say dates={{{column}: "%b %d, %Y"}}'),
    _dress("dates", r"\d{1,2}\.? [^\W\d_]{3,} \d{4}", "write them like 2024-01-31"),
    _dress(
        "dates",
        r"\d{1,4}[./-]\d{1,2}[./-]\d{2,4}([T ,]+\d{1,2}:\d{2}.*)?",
        "say dates={{{column}: FORMAT}} with their strftime format",
    ),
)


def find_dresses(texts: Sequence[str], odd: Sequence[int]) -> dict[int, Dress]:
    """Find the texts that are numbers or dates in a dress.

    Args:
        texts: Distinct texts of a column.
        odd: Indices of those that are no plain numbers.

    Returns:
        The dress of each of the odd ones that has one, by index.
    """
    found: dict[int, Dress] = {}
    units: dict[int, str] = {}
    for index in odd:
        text = texts[index]
        if len(text) > _LONGEST:
            continue
        dress = next((d for d in _DRESSES if d.pattern.fullmatch(text)), None)
        if dress is not None:
            found[index] = dress
        elif (match := _UNIT.fullmatch(text)) is not None:
            units[index] = (match["before"] or match["after"] or "").strip()
    if _DECIMAL_COMMA in found.values():  # "1,234" among "1,23": no thousands
        found = {i: _DECIMAL_COMMA if d == _THOUSANDS_COMMA else d for i, d in found.items()}
    counts = Counter(unit for unit in units.values() if unit)
    if counts.total() >= _MIN_WITH_UNIT:
        dress = Dress("a unit", _UNIT, f"say units=[{quoted_json(next(iter(counts)))}]")
        if len(counts) > 1:  # to leave out "k" and "M" would mix up thousands and millions
            dress = Dress("several units", _UNIT, "write them in one unit")
        if max(counts.values()) >= _MIN_WITH_UNIT:
            found |= {index: dress for index, unit in units.items() if unit}
    return found


def quoted_json(text: str) -> str:
    """Quote a text so that Python, JSON and hence the command line read it back."""
    return json.dumps(text, ensure_ascii=False)
