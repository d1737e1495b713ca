"""Telemetry: what one decision interval measured, whoever ran the training.

The batched trainer, the reference trainer and the controller in a user's loop all fill this record,
and nothing else reaches the observation. That is what makes a policy see in deployment what it saw
in training. Everything here can be measured in any loop at the price of two copies of the weights
and two gradient norms an interval.

Axes: `N` lanes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

_NOT_NEGATIVE = {"is_signed": False}
_SIGNED = {"is_signed": True}
_OF_A_STATE = {"is_of_a_state": True}
_HALF = {"is_half": True}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Telemetry:
    """Measurements of one decision interval, float64 `[N]`; NaN where there is no such thing.

    The observation takes logarithms, so what is not called signed must not be negative. A family
    whose quantity may be (the loss of a policy gradient) leaves the field NaN: the fields of the
    observation that are made of it are then 0, and a mask says so.

    Args:
        train_loss: Mean loss of the updates over the interval, on the scale of the validation loss.
        train_loss_first_half: Mean over the interval's first half of updates.
        train_loss_second_half: Mean over its second half.
        train_loss_spread: Standard deviation of the updates' losses.
        validation_loss: What is to fall, measured at the interval's end on what is not trained on
            (held-out rows, evaluation episodes, the forecast of what comes); never missing in a
            trainer. It may reach 0 where the family sets a `loss_floor`.
        validation_metric: A second measure of the same that people read, such as accuracy, R² or
            the mean return; signed. Nothing depends on it.
        gradient_norm_first: Norm of the whole gradient at the first update, before clipping.
        gradient_norm_last: The same at the last update.
        update_ratio: `|w_end - w_start| / |w_start|` over the interval.
        update_agreement: Cosine between the first half's displacement of the weights and the
            second half's: near 1 when every update goes the same way, near 0 or below when the
            rate is so high that they undo each other; signed.
        diverged: Whether a loss stopped being finite or left the allowed range, bool `[N]`.
    """

    train_loss: NDArray[np.float64] = field(metadata=_NOT_NEGATIVE)
    train_loss_first_half: NDArray[np.float64] = field(metadata=_NOT_NEGATIVE | _HALF)
    train_loss_second_half: NDArray[np.float64] = field(metadata=_NOT_NEGATIVE | _HALF)
    train_loss_spread: NDArray[np.float64] = field(metadata=_NOT_NEGATIVE)
    validation_loss: NDArray[np.float64] = field(metadata=_NOT_NEGATIVE | _OF_A_STATE)
    validation_metric: NDArray[np.float64] = field(metadata=_SIGNED | _OF_A_STATE)
    gradient_norm_first: NDArray[np.float64] = field(metadata=_NOT_NEGATIVE)
    gradient_norm_last: NDArray[np.float64] = field(metadata=_NOT_NEGATIVE)
    update_ratio: NDArray[np.float64] = field(metadata=_NOT_NEGATIVE)
    update_agreement: NDArray[np.float64] = field(metadata=_SIGNED)
    diverged: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.diverged)

    @classmethod
    def missing(cls, num_lanes: int) -> Telemetry:
        """Return a record in which nothing was measured, `N = num_lanes`, ready to be filled."""
        rows = np.full((len(MEASUREMENTS), num_lanes), np.nan)  # one array: many small ones cost
        nan = dict(zip(MEASUREMENTS, rows, strict=True))
        return cls(**nan, diverged=np.zeros(num_lanes, dtype=bool))

    def put(self, lanes: NDArray[np.int64], other: Telemetry) -> None:
        """Write the records of `other` into the given lanes of this one, in place."""
        for f in fields(self):
            getattr(self, f.name)[lanes] = getattr(other, f.name)

    def copy(self) -> Telemetry:
        """Return a copy of all lanes' records."""
        return Telemetry(**{name: getattr(self, name).copy() for name in _FIELDS})

    def take(self, lanes: NDArray[np.int64]) -> Telemetry:
        """Return a copy of the given lanes' records."""
        return Telemetry(**{name: getattr(self, name)[lanes] for name in _FIELDS})


_FIELDS = tuple(f.name for f in fields(Telemetry))

MEASUREMENTS: tuple[str, ...] = tuple(
    f.name for f in fields(Telemetry) if "is_signed" in f.metadata
)
"""All that may be missing: every field but `diverged`, in order."""

NOT_NEGATIVE: tuple[str, ...] = tuple(
    f.name for f in fields(Telemetry) if f.metadata.get("is_signed") is False
)
"""Measurements whose logarithm is taken."""

HOLDING_AFTER_ROLL_BACK: tuple[str, ...] = tuple(
    f.name for f in fields(Telemetry) if f.metadata.get("is_of_a_state", False)
)
"""Measurements of a state and not of an interval: when it is put back, those of its start hold."""

REPORTED: tuple[str, ...] = tuple(
    f.name
    for f in fields(Telemetry)
    if f.name in MEASUREMENTS and not f.metadata.get("is_half", False)
)
"""Measurements that people are shown; the halves of one that is are for the observation."""
