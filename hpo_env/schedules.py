"""Base schedules: what a controller's actions are corrections of.

A schedule is a function of progress alone, from 0 at the start of the run to 1 at its end, and
gives the factor on the initial value. It is evaluated once a decision interval, in the
interval's middle, and it applies to the hyperparameters marked `scheduled` (the learning rate).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import unknown_name

Schedule = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_WARMUP = 0.05  # share of the run spent in warm-up, as is usual for short runs
_ONE_CYCLE_PEAK = 0.3  # pct_start of torch.optim.lr_scheduler.OneCycleLR
_ONE_CYCLE_START = 1 / 25  # its 1 / div_factor
_STEP_EVERY, _STEP_FACTOR = 1 / 3, 0.1
_SMALLEST = 1e-12  # keeps the logarithm of a schedule that ends at 0 finite


def constant(progress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep the initial value."""
    return np.ones_like(progress)


def cosine(progress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fall from 1 to 0 on half a cosine (Loshchilov and Hutter, 2017, eq. 5, without restarts)."""
    return 0.5 * (1.0 + np.cos(np.pi * progress))


def warmup_cosine(progress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rise linearly over the first 5 % of the run, then fall on half a cosine."""
    rest = np.clip((progress - _WARMUP) / (1.0 - _WARMUP), 0.0, 1.0)
    return np.minimum(progress / _WARMUP, 1.0) * cosine(rest)


def linear(progress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fall from 1 to 0 on a straight line."""
    return 1.0 - progress


def one_cycle(progress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rise from 1/25 to 1 over 30 % of the run, then fall to 0, on half cosines (Smith, 2018)."""
    rise = 1.0 - cosine(np.clip(progress / _ONE_CYCLE_PEAK, 0.0, 1.0))
    fall = cosine(np.clip((progress - _ONE_CYCLE_PEAK) / (1.0 - _ONE_CYCLE_PEAK), 0.0, 1.0))
    up = _ONE_CYCLE_START + (1.0 - _ONE_CYCLE_START) * rise
    return np.where(progress < _ONE_CYCLE_PEAK, up, fall)


def step(progress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide by ten after each third of the run."""
    return np.asarray(_STEP_FACTOR ** np.floor(np.minimum(progress, 1.0 - 1e-9) / _STEP_EVERY))


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "cosine": cosine,
    "warmup_cosine": warmup_cosine,
    "linear": linear,
    "one_cycle": one_cycle,
    "step": step,
}


def schedule(name: str) -> Schedule:
    """Return the base schedule of that name.

    Raises:
        UnknownNameError: There is none; the nearest names are suggested.

    Example:
        >>> schedule("cosine")(np.array([0.0, 0.5, 1.0])).round(3).tolist()
        [1.0, 0.5, 0.0]
    """
    if not isinstance(name, str) or name not in SCHEDULES:
        raise unknown_name("base schedule", name, SCHEDULES)
    return SCHEDULES[name]


def interval_factors(
    name: str, intervals: NDArray[np.int64], num_intervals: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Give the schedule's factor for decision intervals, taken in the middle of each.

    Args:
        name: The base schedule.
        intervals: Index of the interval, from 0, shape `[N]`.
        num_intervals: Intervals in the run, shape `[N]`.

    Returns:
        Factors `[N]`, in `[0, 1]`.
    """
    progress = np.minimum((intervals + 0.5) / num_intervals, 1.0)
    return schedule(name)(progress)


def log_change(
    factors: NDArray[np.float64], next_factors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the log ratios `[N]` of a schedule's factors to those before, finite also at 0.

    Example:
        >>> log_change(np.array([1.0, 1.0]), np.array([0.5, 0.0])).round(1).tolist()
        [-0.7, -27.6]
    """
    return np.log(np.maximum(next_factors, _SMALLEST)) - np.log(np.maximum(factors, _SMALLEST))
