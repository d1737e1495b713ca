"""What a host can write: anything with an initial value, a way to set it and one to undo that."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hpo_env.arguments import NOT_A_NUMBER, read_number
from hpo_env.errors import ConfigurationError, ControllerWarning


class Writer(Protocol):
    """Writes one hyperparameter to where it is used."""

    initial: float

    def start_at(self, value: float) -> None:
        """Take another value for the initial one; nothing is written yet."""

    def write(self, value: float) -> float:
        """Set the value and return the one in force, read back from where it is used."""

    def give_back(self) -> None:
        """Put back what was found, unless somebody else has written there since."""


@dataclass(kw_only=True)
class FunctionWriter:
    """A value that a function of the user's sets.

    Args:
        function: Called with each new value; may return the value that it really set.
        initial: The value in force when the run starts.
        is_known: Whether that is what the user said; where it is a guess, nothing is given back.
        name: Of the hyperparameter.
    """

    function: Callable[[float], float | None]
    initial: float
    is_known: bool = True
    name: str = ""
    _has_written: bool = field(default=False, init=False)
    _own: float = field(init=False)

    def __post_init__(self) -> None:
        """Keep the user's own value, which a learned start takes the place of."""
        self._own = self.initial

    def start_at(self, value: float) -> None:
        """See `Writer.start_at`."""
        self.initial = value

    def write(self, value: float) -> float:
        """Call the function."""
        self._has_written = True
        used = self.function(value)
        return value if used is None else self._read(used)

    def give_back(self) -> None:
        """Call the function with the initial value."""
        if not (self._has_written and self.is_known):
            return
        self._has_written = False
        try:
            self.function(self._own)
        except Exception as error:  # anybody's code, and the training is over
            warnings.warn(
                f"the function that sets {self.name or 'a value'} raised "
                f"{type(error).__name__}: {error} when it was given back its initial value, "
                f"{self._own:g}",
                ControllerWarning,
                stacklevel=2,
            )

    def _read(self, used: Any) -> float:
        """Read what a function has returned.

        Raises:
            ConfigurationError: It is no number.
        """
        try:
            number = read_number(used)
        except NOT_A_NUMBER:
            number = math.nan
        if math.isnan(number):
            raise ConfigurationError(
                f"the function that sets {self.name or 'a value'} must return None, or the number "
                f"that it has really set; got {used!r:.60}"
            )
        return number


def start_all(writers: Mapping[str, Writer], values: Mapping[str, float]) -> None:
    """Take other values for the initial ones, by name."""
    for name, value in values.items():
        writers[name].start_at(value)


def write_all(writers: Mapping[str, Writer], values: Mapping[str, float]) -> dict[str, float]:
    """Write values by name, and return those in force."""
    return {name: float(writers[name].write(value)) for name, value in values.items()}


def give_back(writers: Mapping[str, Writer]) -> None:
    """Give back all of some values."""
    for writer in writers.values():
        writer.give_back()
