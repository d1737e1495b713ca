"""The reward: how much the logarithm of the validation loss fell in one interval.

`r(t) = log q(t-1) - log q(t)`, so that an episode's rewards add up to `log(q(0) / q(T))`. A
diverged run is given the loss `q(0) * exp(DIVERGENCE_LOG_RATIO + 1)`. A run whose loss exceeds
`q(0) * exp(DIVERGENCE_LOG_RATIO)` counts as diverged, so every finished run scores higher.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DIVERGENCE_LOG_RATIO = 4.0
"""A loss 55 times the initial one: no run that comes back from there is worth waiting for."""

LOSS_FLOOR = 1e-12
"""Far below any loss that is not exactly 0; a family may set a floor of its own above it."""


def log_loss(loss: NDArray[np.float64], floor: float = LOSS_FLOOR) -> NDArray[np.float64]:
    """Return the logarithm of losses `[N]`, those below `floor` being taken for it."""
    return np.log(np.maximum(loss, floor))


def log_diverged(first_loss: NDArray[np.float64], floor: float = LOSS_FLOOR) -> NDArray[np.float64]:
    """Return the log loss `[N]` that a diverged run is given, above that of every finished run.

    Args:
        first_loss: Validation loss before the first update `[N]`.
        floor: The family's own.
    """
    return log_loss(first_loss, floor) + DIVERGENCE_LOG_RATIO + 1.0


def bounded_log_loss(
    loss: NDArray[np.float64],
    *,
    first_loss: NDArray[np.float64],
    diverged: NDArray[np.bool_],
    floor: float = LOSS_FLOOR,
) -> NDArray[np.float64]:
    """Return the log losses `[E]` that runs are compared by, finite. Lower is better.

    A run that diverged, or whose loss is not finite, is given `log_diverged`; none is given more.

    Args:
        loss: At the end of each run `[E]`; anything where diverged.
        first_loss: Validation loss before the first update `[E]`.
        diverged: Which runs diverged `[E]`.
        floor: The family's own.

    Example:
        >>> one = np.ones(3)
        >>> ends = dict(first_loss=one, diverged=np.array([False, True, False]))
        >>> bounded_log_loss(np.array([1.0, 1.0, np.nan]), **ends).tolist()
        [0.0, 5.0, 5.0]
    """
    worst = log_diverged(first_loss, floor)
    bad = diverged | ~np.isfinite(loss)
    return np.where(bad, worst, np.minimum(log_loss(np.where(bad, 1.0, loss), floor), worst))


def has_diverged(loss: NDArray[np.float64], first_loss: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which losses `[N]` are not finite, or beyond `exp(DIVERGENCE_LOG_RATIO)` of the first."""
    with np.errstate(invalid="ignore"):
        too_high = loss > first_loss * np.exp(DIVERGENCE_LOG_RATIO)
    return np.asarray(~np.isfinite(loss) | too_high)


def rewards(
    *,
    loss: NDArray[np.float64],
    previous_loss: NDArray[np.float64],
    first_loss: NDArray[np.float64],
    diverged: NDArray[np.bool_],
    floor: float = LOSS_FLOOR,
) -> NDArray[np.float64]:
    """Compute the telescoping rewards of one step.

    Args:
        loss: Validation loss at the interval's end `[N]`; ignored where diverged.
        previous_loss: The same one interval earlier `[N]`.
        first_loss: The same before the first update `[N]`.
        diverged: Which lanes ended by divergence `[N]`.
        floor: The family's own.

    Returns:
        Rewards `[N]`, finite.

    Example:
        >>> one = np.array([1.0])
        >>> halved = dict(loss=one / 2, previous_loss=one, first_loss=one)
        >>> rewards(**halved, diverged=np.array([False])).round(4).tolist()
        [0.6931]
        >>> rewards(**halved, diverged=np.array([True])).tolist()
        [-5.0]
    """
    worst = log_diverged(first_loss, floor)
    now = np.where(diverged, worst, log_loss(np.where(diverged, 1.0, loss), floor))
    return log_loss(previous_loss, floor) - now
