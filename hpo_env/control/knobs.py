"""What a run can write: anything with an initial value and a way to set it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Knob(Protocol):
    """Something whose value a run sets."""

    initial: float

    def write(self, value: float) -> float:
        """Set the value and return the one in force, read back from where it is used."""


@dataclass(kw_only=True)
class BoundKnob:
    """A value that a function of the user's sets.

    Args:
        function: Called with each new value; may return the value that it really set.
        initial: The value in force when the run starts.
    """

    function: Callable[[float], float | None]
    initial: float

    def write(self, value: float) -> float:
        """Call the function."""
        used = self.function(value)
        return value if used is None else float(used)
