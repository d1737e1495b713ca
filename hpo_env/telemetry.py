"""Telemetry: what one decision interval measured, whoever ran the training.

The batched trainer, the reference trainer and the controller in a user's loop all fill this record,
and nothing else reaches the observation. That is what makes a policy see in deployment what it saw
in training. Everything here can be measured in any loop at the price of two copies of the weights
and two gradient norms an interval.

Axes: `N` lanes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Telemetry:
    """Measurements of one decision interval, float64 `[N]`; NaN where there is no such thing.

    Args:
        train_loss: Mean minibatch loss over the interval.
        train_loss_first_half: Mean over the interval's first half of updates.
        train_loss_second_half: Mean over its second half.
        train_loss_spread: Standard deviation of the minibatch losses.
        validation_loss: Loss on the validation rows at the interval's end, positive.
        validation_metric: Accuracy (classification) or R² (regression) on the same rows.
        gradient_norm_first: Norm of the whole gradient at the first update, before clipping.
        gradient_norm_last: The same at the last update.
        update_ratio: `|w_end - w_start| / |w_start|` over the interval.
        update_agreement: Cosine between the first half's displacement of the weights and the
            second half's: near 1 when every update goes the same way, near 0 or below when the
            rate is so high that they undo each other.
        diverged: Whether a loss stopped being finite or left the allowed range, bool `[N]`.
    """

    train_loss: NDArray[np.float64]
    train_loss_first_half: NDArray[np.float64]
    train_loss_second_half: NDArray[np.float64]
    train_loss_spread: NDArray[np.float64]
    validation_loss: NDArray[np.float64]
    validation_metric: NDArray[np.float64]
    gradient_norm_first: NDArray[np.float64]
    gradient_norm_last: NDArray[np.float64]
    update_ratio: NDArray[np.float64]
    update_agreement: NDArray[np.float64]
    diverged: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.diverged)

    @classmethod
    def missing(cls, num_lanes: int) -> Telemetry:
        """Return a record in which nothing was measured, `N = num_lanes`, ready to be filled."""
        nan = {f.name: np.full(num_lanes, np.nan) for f in fields(cls) if f.name != "diverged"}
        return cls(**nan, diverged=np.zeros(num_lanes, dtype=bool))

    def put(self, lanes: NDArray[np.int64], other: Telemetry) -> None:
        """Write the records of `other` into the given lanes of this one, in place."""
        for f in fields(self):
            getattr(self, f.name)[lanes] = getattr(other, f.name)

    def take(self, lanes: NDArray[np.int64]) -> Telemetry:
        """Return a copy of the given lanes' records."""
        return Telemetry(**{f.name: getattr(self, f.name)[lanes] for f in fields(self)})
