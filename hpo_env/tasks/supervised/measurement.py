"""What an interval has measured, as telemetry; in the batched and the reference trainer alike.

Axes: `N` lanes, `U` updates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo_env.loss_summary import loss_entries
from hpo_env.reward import has_diverged
from hpo_env.telemetry import Telemetry

Float64 = NDArray[np.float64]


def interval_telemetry(
    losses: Float64,
    *,
    gradient_norms: Float64,
    update_ratio: Float64,
    update_agreement: Float64,
    validation_loss: Float64,
    validation_metric: Float64,
    first_loss: Float64,
) -> Telemetry:
    """Make the record `[N]` of an interval.

    Args:
        losses: Minibatch losses `[U, N]`.
        gradient_norms: Of the first and the last update, before clipping, `[2, N]`.
        update_ratio: How far the weights have come, relative to their size, `[N]`.
        update_agreement: Cosine between the displacements of both halves `[N]`.
        validation_loss: `[N]`.
        validation_metric: `[N]`.
        first_loss: Validation loss before the first update of the run, against which divergence is
            judged, `[N]`.
    """
    entries = loss_entries(losses, len(losses))
    if len(losses) == 1:  # one update has no halves
        nan = np.full(losses.shape[1], np.nan)
        entries |= {"train_loss_first_half": nan, "train_loss_second_half": nan}
        update_agreement = nan
    is_finite = np.isfinite(losses).all(axis=0)
    return Telemetry(
        **entries,
        validation_loss=validation_loss,
        validation_metric=validation_metric,
        gradient_norm_first=gradient_norms[0],
        gradient_norm_last=gradient_norms[1],
        update_ratio=update_ratio,
        update_agreement=update_agreement,
        diverged=has_diverged(validation_loss, first_loss) | ~is_finite,
    )


def ratio_and_agreement(movement: Float64) -> tuple[Float64, Float64]:
    """Return how far weights have come, relative to their size, and the halves' cosine, `[N]` each.

    Args:
        movement: `step.weight_movement`, `[5, N]`.
    """
    with np.errstate(all="ignore"):
        weights, whole, first, second, product = movement
        return np.sqrt(whole / weights), product / np.sqrt(first * second)
