"""Where a policy decides in place of a more general one of the same hyperparameters.

Needs numpy alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hpo_env.arguments import is_number
from hpo_env.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an interval must be like for a policy to decide about the next one.

    Long intervals on rows that are not seen twice are limited by optimisation, and a loss that
    falls slowly asks for a rate that is kept up; long intervals on few rows are overfitted, and the
    same loss asks for a lower one. The two losses tell them apart.

    Args:
        min_interval_updates: Updates that the interval has at least, from 1 on.
        max_generalisation_gap: The highest logarithm of the validation loss over the training loss
            of the interval.

    Raises:
        ConfigurationError: A number is out of range, or none.

    Example:
        >>> scope = Scope(min_interval_updates=20, max_generalisation_gap=0.1)
        >>> scope.contains(20, train_loss=1.0, validation_loss=1.05)
        True
        >>> scope.contains(19, train_loss=1.0, validation_loss=1.05)
        False
        >>> scope.contains(20, train_loss=1.0, validation_loss=1.2)
        False
    """

    min_interval_updates: int
    max_generalisation_gap: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        least, most = self.min_interval_updates, self.max_generalisation_gap
        if type(least) is not int or least < 1:
            raise ConfigurationError(
                f"min_interval_updates must be a whole number from 1 on; got {least!r}"
            )
        if not (is_number(most) and math.isfinite(most)):
            raise ConfigurationError(
                f"max_generalisation_gap must be a finite number; got {most!r}"
            )

    def contains(self, interval_updates: int, *, train_loss: float, validation_loss: float) -> bool:
        """Say whether an interval is in it; one is not of which a loss is not known.

        Args:
            interval_updates: Updates in the interval.
            train_loss: Mean training loss in it; NaN where there is none.
            validation_loss: At its end; NaN where there is none.
        """
        if interval_updates < self.min_interval_updates:
            return False
        if not (math.isfinite(validation_loss) and 0.0 < train_loss < math.inf):
            return False
        return validation_loss <= train_loss * math.exp(self.max_generalisation_gap)

    def to_json(self) -> dict[str, Any]:
        """Describe it in plain data; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scope:
        """Read what `to_json` wrote.

        Raises:
            ConfigurationError: An entry is missing or unknown, or a number is out of range.
        """
        names = {field.name for field in fields(cls)}
        if set(data) != names:
            raise ConfigurationError(f"a scope must have {sorted(names)}; got {sorted(data)}")
        return cls(**data)
