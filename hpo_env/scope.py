"""Where a policy decides in place of a more general one of the same hyperparameters.

Needs numpy alone.

Axes: `N` runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import is_number
from hpo_env.errors import ConfigurationError
from hpo_env.telemetry import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an interval must be like for a policy to decide about the next one.

    Long runs on rows that are hardly seen twice are limited by optimisation, and a loss that falls
    slowly asks for a rate that is kept up; long runs on few rows overfit, and the same loss asks
    for a lower one. In the first the losses of training and validation are the same within a few
    per cent, all the while; in the second they part after some intervals, and what was decided
    from then on must not be taken back in the next interval by chance: a run in which validation
    once lay above training by more is out of the scope for good. At the very start it lies below,
    as the training loss is a mean over the interval: that says nothing yet.

    A loss that falls fast, or has just jumped, is another matter, as squared errors at the start.

    Args:
        min_interval_updates: Updates that the interval has at least, from 1 on.
        max_loss_gap: The most that the logarithm of the validation loss over the training loss of
            the interval differs from 0, either way; above 0.
        max_change_per_update: The most that the logarithm of the validation loss changed in the
            interval, either way, over its updates; above 0.

    Raises:
        ConfigurationError: A number is out of range, or none.

    Example:
        >>> scope = Scope(min_interval_updates=20, max_loss_gap=0.1, max_change_per_update=0.005)
        >>> scope.contains(20, train_loss=1.0, validation_loss=1.05, change=-0.02)
        True
        >>> scope.contains(19, train_loss=1.0, validation_loss=1.05, change=-0.02)
        False
        >>> scope.contains(20, train_loss=1.0, validation_loss=1.05, change=-0.3)
        False
        >>> scope.is_left(20, train_loss=1.0, validation_loss=1.2)
        True
        >>> scope.is_left(20, train_loss=1.0, validation_loss=0.8)
        False
    """

    min_interval_updates: int
    max_loss_gap: float
    max_change_per_update: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        least = self.min_interval_updates
        if type(least) is not int or least < 1:
            raise ConfigurationError(
                f"min_interval_updates must be a whole number from 1 on; got {least!r}"
            )
        for name in ("max_loss_gap", "max_change_per_update"):
            most = getattr(self, name)
            if not (is_number(most) and 0.0 < most < math.inf):
                raise ConfigurationError(f"{name} must be a finite number above 0; got {most!r}")

    def contains(
        self, interval_updates: int, *, train_loss: float, validation_loss: float, change: float
    ) -> bool:
        """Say whether an interval is in it; never where a loss is not known, or not above 0.

        Args:
            interval_updates: Updates in the interval.
            train_loss: Mean training loss in it; NaN where there is none.
            validation_loss: At its end; NaN where there is none.
            change: Of the logarithm of the validation loss in it; NaN where it is not known.
        """
        gap = self._gap(interval_updates, train_loss, validation_loss)
        most = self.max_change_per_update * interval_updates
        return abs(gap) <= self.max_loss_gap and abs(change) <= most

    def is_left(self, interval_updates: int, *, train_loss: float, validation_loss: float) -> bool:
        """Say whether a run is out of it for good after an interval; arguments as of `contains`."""
        return self._gap(interval_updates, train_loss, validation_loss) > self.max_loss_gap

    def _gap(self, interval_updates: int, train_loss: float, validation_loss: float) -> float:
        """Return the logarithm of validation over training loss, NaN where it says nothing."""
        if interval_updates < self.min_interval_updates:
            return math.nan
        if not (0.0 < train_loss < math.inf and 0.0 < validation_loss < math.inf):
            return math.nan
        return math.log(validation_loss / train_loss)

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


SPOILED_RATIO = 1.5
"""What a policy with a scope is asked about are runs whose losses fall slowly. Where the validation
loss is so many times what it was an interval before, its move was a mistake."""


class Turns:
    """Which of N runs a policy with a scope decides about next, interval after interval.

    Args:
        scope: The policy's; None: it decides about none.
        num_lanes: `N`.

    Attributes:
        has_left: Which runs are out of the scope for good, bool `[N]`.
        has_decided: Where the policy has decided about the running interval, bool `[N]`; whoever
            has it decide notes it here.
    """

    def __init__(self, scope: Scope | None, num_lanes: int) -> None:
        self._scope = scope
        self.has_left = np.zeros(num_lanes, dtype=bool)
        self.has_decided = np.zeros(num_lanes, dtype=bool)

    def leave_spoiled(self, before: Telemetry, after: Telemetry) -> NDArray[np.bool_]:
        """Leave runs for good that an interval has spoilt which the policy decided about.

        Args:
            before: What was measured at the interval's start `[N]`.
            after: At its end `[N]`.

        Returns:
            Which these are, bool `[N]`.
        """
        with np.errstate(invalid="ignore"):  # a loss that is missing has not risen
            has_risen = after.validation_loss > SPOILED_RATIO * before.validation_loss
        found = np.asarray(self.has_decided & has_risen)
        self.has_left |= found
        return found

    def after(
        self,
        interval_updates: NDArray[np.int64],
        telemetry: Telemetry,
        changes: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Return which runs are in it after the interval that is over, bool `[N]`.

        Args:
            interval_updates: Updates in it `[N]`; 0 before the first.
            telemetry: What it measured `[N]`.
            changes: Of the logarithm of the validation loss in it `[N]`.
        """
        is_in = np.zeros(len(self.has_left), dtype=bool)
        if self._scope is None:
            return is_in
        for lane in np.flatnonzero(~self.has_left).tolist():
            updates = int(interval_updates[lane])
            losses = {
                "train_loss": float(telemetry.train_loss[lane]),
                "validation_loss": float(telemetry.validation_loss[lane]),
            }
            self.has_left[lane] = self._scope.is_left(updates, **losses)
            is_in[lane] = self._scope.contains(updates, **losses, change=float(changes[lane]))
        return is_in
