"""What an interval of many lanes has measured, as telemetry.

The reference trainer works the same numbers out by itself, lane by lane, from their definitions:
it is the twin that these are tested against.

Axes: `N` lanes, `U` updates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo_env.reward import has_diverged
from hpo_env.telemetry import Telemetry

Float64 = NDArray[np.float64]


def interval_telemetry(
    losses: Float64,
    norms: Float64,
    movement: Float64,
    *,
    validation_loss: Float64,
    validation_metric: Float64,
    first_loss: Float64,
) -> Telemetry:
    """Make the record `[N]` of an interval.

    Args:
        losses: Minibatch losses `[U, N]`.
        norms: Gradient norms of the first and the last update, before clipping, `[2, N]`.
        movement: `step.weight_movement`, `[5, N]`.
        validation_loss: `[N]`.
        validation_metric: `[N]`.
        first_loss: Validation loss before the first update of the run, against which divergence is
            judged, `[N]`.
    """
    half = len(losses) // 2
    nan = np.full(losses.shape[1], np.nan)
    diverged = has_diverged(validation_loss, first_loss) | ~np.isfinite(losses).all(axis=0)
    with np.errstate(all="ignore"):
        weights, whole, first, second, product = movement
        return Telemetry(
            train_loss=losses.mean(axis=0),
            train_loss_first_half=losses[:half].mean(axis=0) if half else nan,
            train_loss_second_half=losses[half:].mean(axis=0) if half else nan,
            train_loss_spread=losses.std(axis=0),
            validation_loss=validation_loss,
            validation_metric=validation_metric,
            gradient_norm_first=norms[0],
            gradient_norm_last=norms[1],
            update_ratio=np.sqrt(whole / weights),
            update_agreement=product / np.sqrt(first * second) if half else nan,
            diverged=diverged,
        )
