"""The guard against divergence, the same in the environment and in a user's own loop.

An interval has failed when a loss is no longer finite, or when the validation loss is well above
that of the untrained model (a training loss, which is noisier and in some hosts no measure of
success, has to be far above its first). Then the weights of the interval's start are put back, the
optimiser's memory is emptied, and the next move is the guard's: every hyperparameter retreats as it
says itself, a learning rate by one whole step down, most others not at all. The interval is lost,
which is what a failure costs.

Axes: `N` lanes, `H` controlled hyperparameters.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpo_env.observer import followed_loss
from hpo_env.reward import DIVERGENCE_LOG_RATIO
from hpo_env.telemetry import HOLDING_AFTER_ROLL_BACK, MEASUREMENTS, Telemetry

Array = NDArray[np.float64]

FAILURE_LOG_RATIO = 1.0
"""A validation loss 2.7 times that of the untrained model: a rate that does this trains nothing."""

_FAILURE_RATIO = np.exp(FAILURE_LOG_RATIO)
_DIVERGENCE_RATIO = np.exp(DIVERGENCE_LOG_RATIO)


def has_failed(telemetry: Telemetry, first_loss: Array) -> NDArray[np.bool_]:
    """Say in which lanes the interval has failed.

    Args:
        telemetry: Of the interval `[N]`; its `diverged` says where a loss was not finite. Where
            there is no loss at all, nothing has failed.
        first_loss: The first loss of the kind that is followed `[N]`; NaN where unknown.

    Returns:
        bool `[N]`.

    Example:
        >>> telemetry = Telemetry.missing(3)
        >>> telemetry.validation_loss[:2] = 2.0, 3.0
        >>> has_failed(telemetry, np.ones(3)).tolist()
        [False, True, False]
    """
    loss, has_validation = followed_loss(telemetry)
    ratio = np.where(has_validation > 0.0, _FAILURE_RATIO, _DIVERGENCE_RATIO)
    with np.errstate(invalid="ignore", over="ignore"):
        too_high = loss > first_loss * ratio
    return np.asarray(telemetry.diverged | np.isinf(loss) | too_high)


def as_hosts_measure(telemetry: Telemetry) -> Telemetry:
    """Take a validation loss that is not a number for measured, and as bad as can be.

    A run does so with what a user's `validate` returns, so a trainer whose failed intervals are not
    rolled back has to show the same.
    """
    loss = telemetry.validation_loss
    return replace(telemetry, validation_loss=np.where(np.isnan(loss), np.inf, loss))


def rolled_back(telemetry: Telemetry, failed: NDArray[np.bool_], before: Telemetry) -> Telemetry:
    """Return telemetry in which intervals that were rolled back have measured nothing.

    Args:
        telemetry: What the interval measured `[N]`.
        failed: Where it failed `[N]`.
        before: Telemetry at its start `[N]`: what measures a state holds again.
    """
    values = {
        name: np.where(
            failed,
            getattr(before, name) if name in HOLDING_AFTER_ROLL_BACK else np.nan,
            getattr(telemetry, name),
        )
        for name in MEASUREMENTS
    }
    return Telemetry(**values, diverged=telemetry.diverged & ~failed)


def retreated(moves: Array, has_failed: NDArray[np.bool_], retreat: Array) -> Array:
    """Replace the moves of lanes whose last interval failed.

    Args:
        moves: The agent's `[N, H]`.
        has_failed: Where the guard moves `[N]`.
        retreat: What it does to each hyperparameter `[N, H]`, 0 where nothing can be moved. A lane
            in which nothing retreats keeps the agent's moves, or it would fail for ever.

    Returns:
        Moves `[N, H]`.

    Example:
        >>> retreat = np.array([[-1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
        >>> retreated(np.full((3, 2), 0.5), np.array([False, True, True]), retreat).tolist()
        [[0.5, 0.5], [-1.0, 0.0], [0.5, 0.5]]
    """
    if not has_failed.any():
        return moves
    guarded = has_failed & (retreat != 0.0).any(axis=1)
    return np.where(guarded[:, None], retreat, moves)
