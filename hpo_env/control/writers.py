"""What a host can write: anything with an initial value and a way to set it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


class Writer(Protocol):
    """Writes one hyperparameter to where it is used."""

    initial: float

    def start_at(self, value: float) -> None:
        """Take another value for the initial one; nothing is written yet."""

    def write(self, value: float) -> float:
        """Set the value and return the one in force, read back from where it is used."""


@dataclass(kw_only=True)
class FunctionWriter:
    """A value that a function of the user's sets.

    Args:
        function: Called with each new value; may return the value that it really set.
        initial: The value in force when the run starts.
    """

    function: Callable[[float], float | None]
    initial: float

    def start_at(self, value: float) -> None:
        """See `Writer.start_at`."""
        self.initial = value

    def write(self, value: float) -> float:
        """Call the function."""
        used = self.function(value)
        return value if used is None else float(used)


def start_all(writers: Mapping[str, Writer], values: Mapping[str, float]) -> None:
    """Take other values for the initial ones, by name."""
    for name, value in values.items():
        writers[name].start_at(value)


def write_all(writers: Mapping[str, Writer], values: Mapping[str, float]) -> dict[str, float]:
    """Write values by name, and return those in force."""
    return {name: float(writers[name].write(value)) for name, value in values.items()}
