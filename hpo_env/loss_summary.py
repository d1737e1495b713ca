"""What one interval's minibatch losses come to, in trainers and in users' own loops alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo_env.telemetry import Telemetry


def summarize_losses(telemetry: Telemetry, losses: NDArray[np.float64], num_updates: int) -> None:
    """Fill the training-loss entries of a record, in place.

    Args:
        telemetry: Of one lane, or of N.
        losses: Minibatch losses, one an update: `[U]` of one lane, or `[U, N]`. Empty leaves the
            record as it is.
        num_updates: Updates in the interval. The first half are the first `num_updates // 2`, and
            with a single update there are no halves to compare.

    Example:
        >>> telemetry = Telemetry.missing(1)
        >>> summarize_losses(telemetry, np.array([4.0, 2.0, 0.0]), 3)
        >>> telemetry.train_loss.item(), telemetry.train_loss_second_half.item()
        (2.0, 1.0)
    """
    for name, value in loss_entries(losses, num_updates).items():
        getattr(telemetry, name)[:] = value


def loss_entries(losses: NDArray[np.float64], num_updates: int) -> dict[str, NDArray[np.float64]]:
    """Return the training-loss entries that there are, by name; see `summarize_losses`."""
    if not len(losses):
        return {}
    half = num_updates // 2
    with np.errstate(invalid="ignore", over="ignore"):  # losses may be infinite
        entries = {"train_loss": losses.mean(axis=0), "train_loss_spread": losses.std(axis=0)}
        if half and len(losses) > half:
            entries["train_loss_first_half"] = losses[:half].mean(axis=0)
            entries["train_loss_second_half"] = losses[half:].mean(axis=0)
    return entries
