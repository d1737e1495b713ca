"""Cosine annealing with warm restarts (SGDR; Loshchilov and Hutter, 2017).

Axes: `N` lanes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo_env.schedules import cosine

NUM_CYCLES = 3
"""Each twice as long as the one before (`T_mult = 2`), so the first takes a seventh of the run and
the last ends with it."""


def restart_factors(
    intervals: NDArray[np.int64], num_intervals: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Give the factor on the initial rate, in the middle of each interval.

    Args:
        intervals: Index of the interval, from 0, `[N]`.
        num_intervals: Intervals in the run `[N]`.

    Returns:
        Factors in `[0, 1]`, `[N]`.

    Example:
        >>> restart_factors(np.arange(7), np.full(7, 7)).round(2).tolist()
        [0.5, 0.85, 0.15, 0.96, 0.69, 0.31, 0.04]
    """
    progress = np.minimum((intervals + 0.5) / num_intervals, 1.0)
    in_first_cycles = progress * (2**NUM_CYCLES - 1)  # cycles start at 0, 1, 3, ...
    cycle = np.minimum(np.floor(np.log2(in_first_cycles + 1.0)), NUM_CYCLES - 1)
    start, length = 2.0**cycle - 1.0, 2.0**cycle
    return cosine((in_first_cycles - start) / length)
