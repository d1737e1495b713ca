"""The learning rates of a loop's optimiser, as long as nobody else writes them."""

from __future__ import annotations

import warnings
from typing import Any

from hpo_env.control.live_schedule import foreign_schedulers, unwrapped
from hpo_env.control.param_groups import GroupWriter
from hpo_env.errors import ConfigurationError, ControllerWarning


class LearningRates:
    """Writes the rates of all param groups, which keep their ratios; a `Writer`.

    Loops anneal the rate themselves, often in a line that nobody remembers. Where somebody else has
    written it since, one warning says so, and it is left to them.

    Args:
        optimizer: The loop's, also in a wrapper.

    Attributes:
        initial: The largest of them, where the run begins.

    Raises:
        ConfigurationError: It is no optimiser of torch, has no learning rate, or a torch scheduler
            writes it.
    """

    def __init__(self, optimizer: Any) -> None:
        own = unwrapped(optimizer)
        names = foreign_schedulers([own], ())
        if names:
            raise ConfigurationError(
                f"{' and '.join(names)} also writes the learning rate of this optimiser: take it "
                "out of the loop, as the controller moves the rate"
            )
        groups = GroupWriter.of("learning_rate", [own])
        if groups is None:
            raise ConfigurationError(
                f"the optimiser must have a learning rate to write; {type(own).__name__} has none "
                "in its param groups"
            )
        self._groups, self._is_lost = groups, False
        self.initial = groups.initial

    def start_at(self, value: float) -> None:
        """See `Writer.start_at`; the groups keep their ratios."""
        self._groups.start_at(value)
        self.initial = self._groups.initial

    def write(self, value: float) -> float:
        """Set the rates, unless somebody else did; return the one in force."""
        foreign = None if self._is_lost else self._groups.foreign_value(with_devices=True)
        if foreign is not None:
            self._is_lost = True
            warnings.warn(
                f"learning_rate was set to {foreign:g} by something else while the controller "
                "writes it. It is left alone from here on. Take whatever sets it (a line that "
                "anneals it) out of the loop",
                ControllerWarning,
                stacklevel=2,
            )
        return self._groups.now() if self._is_lost else self._groups.write(value)

    def give_back(self) -> None:
        """Give every group its own rate back, unless somebody else has set another."""
        if not self._is_lost:
            self._groups.give_back()
