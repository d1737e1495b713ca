"""How the text of a table is to be read, where its cells do not speak for themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from hpo_env.errors import ConfigurationError

ISO = "ISO8601"
"""Format of dates such as 2026-01-31 or 2026-01-31T12:00; `pandas.to_datetime` knows it."""

_POINT = "."
_DECIMALS = (_POINT, ",")
_THOUSANDS = (",", ".", "'", " ", "_")
_Names = str | Sequence[str]


class ReadingOptions(TypedDict, total=False):
    """The keywords by which a user says how text is to be read; see `Reading.of`."""

    decimal: str | None
    thousands: str | None
    missing: _Names
    units: _Names
    dates: _Names | Mapping[str, str]
    categories: _Names


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How text becomes numbers, dates or categories; made by `Reading.of`.

    Args:
        decimal: What stands before decimals; None: a point, but a column whose points seem to group
            digits is refused.
        thousands: What groups digits by three; None: nothing does.
        missing: Texts that mean "not known"; those that are numbers hold for numbers, too.
        units: Texts before or after a number that are left out, such as "$" or "kg".
        dates: Columns of dates, each with its `strftime` format or `ISO`.
        categories: Columns whose values are names, although they look like numbers or dates.
    """

    decimal: str | None = None
    thousands: str | None = None
    missing: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    dates: tuple[tuple[str, str], ...] = ()
    categories: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        decimal: str | None = None,
        thousands: str | None = None,
        missing: _Names = (),
        units: _Names = (),
        dates: _Names | Mapping[str, str] = (),
        categories: _Names = (),
    ) -> Reading:
        """Make it of what a user writes.

        Args:
            decimal: ".", "," or None, which is a point unless points seem to group digits.
            thousands: One of `,` `.` `'` `_`, a space, or None.
            missing: One text or several: "?" or ["?", "n.a.", -999].
            units: One text or several.
            dates: One column or several, whose dates are ISO 8601; or column -> `strftime` format.
            categories: One column or several.

        Raises:
            ConfigurationError: An option is none of these.

        Example:
            >>> Reading.of(missing="?", dates={"day": "%d.%m.%Y"}).dates
            (('day', '%d.%m.%Y'),)
        """
        is_point = isinstance(decimal, str) and decimal in _DECIMALS
        _check("decimal", decimal, decimal is None or is_point, "one of '.' and ','")
        point = _POINT if decimal is None else decimal
        groups = isinstance(thousands, str) and thousands in _THOUSANDS and thousands != point
        _check(
            "thousands",
            thousands,
            thousands is None or groups,
            f"None or one of {_THOUSANDS}, and not decimal={point!r}",
        )
        written = _texts("units", units)
        for unit in written:
            is_unit = re.search(r"[^\d.,+\-\s]", unit) is not None
            _check("units", unit, is_unit, "made of more than digits, points and signs")
        formats = dates.items() if isinstance(dates, Mapping) else _texts("dates", dates)
        days = tuple(f if isinstance(f, tuple) else (f, ISO) for f in formats)
        are_texts = all(isinstance(text, str) for day in days for text in day)
        _check("dates", dates, are_texts, "columns, or column -> strftime format")
        names = _texts("categories", categories)
        both = [name for name, _ in days if name in names]
        _check("categories", both, not both, "other columns than those in dates")
        return cls(
            decimal=decimal,
            thousands=thousands,
            missing=_texts("missing", missing),
            units=written,
            dates=days,
            categories=names,
        )

    @property
    def point(self) -> str:
        """What stands before decimals."""
        return _POINT if self.decimal is None else self.decimal

    def options(self) -> dict[str, Any]:
        """Return what `of` made it of, in plain data, without what is as usual."""
        written = {field.name: getattr(self, field.name) for field in fields(self)}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in written.items()}
        plain["dates"] = dict(self.dates)
        usual = Reading()
        return {k: plain[k] for k, v in written.items() if v != getattr(usual, k)}

    def number_pattern(self) -> re.Pattern[str]:
        """Return what a number looks like, without its unit; group 1 has the digits before "e"."""
        point, digits = re.escape(self.point), r"\d+"
        if self.thousands is not None:
            digits = rf"(?:\d{{1,3}}(?:{re.escape(self.thousands)}\d{{3}})+|\d+)"
        number = rf"([+-]?(?:{digits}(?:{point}\d*)?|{point}\d+))(?:e[+-]?\d+)?"
        return re.compile(rf"{number}|[+-]?inf(?:inity)?", re.IGNORECASE | re.ASCII)


def _texts(option: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str | int | float):
        value = (value,)
    is_list = isinstance(value, Sequence) and all(
        isinstance(v, str | int | float) and not isinstance(v, bool) for v in value
    )
    _check(option, value, is_list, "a text, or a list of texts")
    assert isinstance(value, Sequence)
    return tuple(str(text) for text in value)


def _check(option: str, value: object, holds: bool, rule: str) -> None:
    if not holds:
        raise ConfigurationError(f"{option} must be {rule}; got {value!r}")
