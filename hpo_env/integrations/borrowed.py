"""Values of other people's objects: read before they are written, and given back at the end.

A base value and the value in force share one place in most frameworks, so whoever attaches a second
time would take a spent value for the user's own. What was found is therefore kept as long as its
owner lives, also where a training was interrupted and nothing could be given back.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from hpo_env.controller import ControllerWarning


@dataclass
class _Loan:
    """What was found in a place, and what was put there since."""

    found: Any
    put: Any


_LOANS: WeakKeyDictionary[Any, dict[str, _Loan]] = WeakKeyDictionary()


class BorrowedValue:
    """One value of somebody else's object; a `Writer`.

    Where somebody else has written it since, one warning says so, and it is left to them.

    Args:
        owner: The object; only its identity matters.
        name: What the value is called, unique for the owner.
        read: Returns what is in place: a number, or something that stands for one.
        put: Puts such a thing in place.
        make: Makes what is put in place from a number.
        make_own: The same of a number that was found, where that need not fit; None: `make`.
        number: Reads the number of what is in place.
        ends: Lowest and highest number: what one beyond is taken for, but given back as it was.
        advice: What to do where somebody else writes it too, as a sentence.

    Attributes:
        found: What was in place before any controller wrote there.
        own: Its number.
        initial: The same between the ends; or another that a run begins at.
        is_lost: Whether somebody else has written the value.
    """

    def __init__(
        self,
        owner: Any,
        name: str,
        *,
        read: Callable[[], Any],
        put: Callable[[Any], object],
        make: Callable[[float], Any] = float,
        make_own: Callable[[float], Any] | None = None,
        number: Callable[[Any], float] = float,
        ends: tuple[float, float] = (-math.inf, math.inf),
        advice: str,
    ) -> None:
        self._owner, self._name, self._advice = owner, name, advice
        self._read, self._put, self._make, self._number = read, put, make, number
        self._make_own = make if make_own is None else make_own
        self._ends = ends
        present = read()
        loan = _LOANS.setdefault(owner, {}).get(name)
        is_spent = loan is not None and bool(loan.put == present)
        self.found = loan.found if loan is not None and is_spent else present
        self.own = number(self.found)
        self.initial = self._between(self.own)
        self.is_lost = False
        self._ours = present

    def start_at(self, value: float) -> None:
        """See `Writer.start_at`; what is given back is what was found."""
        self.initial = value

    def was_found_as(self, value: float) -> None:
        """Take a number for what was found, in a process before this one that left another."""
        self.found, self.own, self.initial = self._make_own(value), value, self._between(value)

    def write(self, value: float) -> float:
        """Put the value in place, unless somebody else did; return the one in force."""
        present = self._read()
        if not self.is_lost and present != self._ours:
            self.is_lost = True
            warnings.warn(
                f"{self._name} was set to {self._number(present):g} by something else while the "
                f"controller writes it. It is left alone from here on. {self._advice}",
                ControllerWarning,
                stacklevel=2,
            )
        if self.is_lost:
            return self._between(self._number(present))
        self._put(self._make(value))
        self._ours = self._read()
        _LOANS.setdefault(self._owner, {})[self._name] = _Loan(self.found, self._ours)
        return self._between(self._number(self._ours))

    def give_back(self) -> None:
        """Put back what was found, unless somebody else has written there since."""
        loan = _LOANS.get(self._owner, {}).get(self._name)
        if self.is_lost or loan is None or self._read() != self._ours or loan.put != self._ours:
            return
        self._put(self.found)
        self._ours = self._read()
        del _LOANS[self._owner][self._name]

    def _between(self, value: float) -> float:
        low, high = self._ends
        return min(max(value, low), high)


def own_values(values: Mapping[str, BorrowedValue]) -> dict[str, float]:
    """Return the numbers that were found, for a process that finds others; see `take_for_own`."""
    return {name: value.own for name, value in values.items()}


def take_for_own(values: Mapping[str, BorrowedValue], own: Mapping[str, float]) -> None:
    """Take numbers for what was found, in a process before this one; inverse of `own_values`."""
    for name, number in own.items():
        if name in values:
            values[name].was_found_as(number)
