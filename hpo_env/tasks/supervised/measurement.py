"""What an interval has measured, as telemetry; in the batched and the reference trainer alike.

Axes: `N` lanes, `U` updates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo_env.loss_summary import summarize_losses
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
    telemetry = Telemetry.missing(losses.shape[1])
    summarize_losses(telemetry, losses, len(losses))
    telemetry.validation_loss[:] = validation_loss
    telemetry.validation_metric[:] = validation_metric
    telemetry.gradient_norm_first[:], telemetry.gradient_norm_last[:] = gradient_norms
    telemetry.update_ratio[:] = update_ratio
    if len(losses) > 1:  # one update has no halves
        telemetry.update_agreement[:] = update_agreement
    is_finite = np.isfinite(losses).all(axis=0)
    telemetry.diverged[:] = has_diverged(validation_loss, first_loss) | ~is_finite
    return telemetry


def ratio_and_agreement(movement: Float64) -> tuple[Float64, Float64]:
    """Return how far weights have come, relative to their size, and the halves' cosine, `[N]` each.

    Args:
        movement: `step.weight_movement`, `[5, N]`.
    """
    with np.errstate(all="ignore"):
        weights, whole, first, second, product = movement
        return np.sqrt(whole / weights), product / np.sqrt(first * second)
