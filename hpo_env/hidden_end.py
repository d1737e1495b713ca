"""Episodes whose end is hidden, as it is in a user's run of unknown length.

Such a run begins as any, stands in the middle of its course for as long as its user likes, and goes
through the second half when the end is known (`hpo_env.control.plan.OpenPlan`). An episode has a
length all the same: of its intervals as many come before the plateau as after it, and in those
between policy and base schedule are told that half of the course is over.

Axes: `N` lanes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

_LEFT = (0.1, 0.5)
"""Share of the run that is left when its end is said: the least and the most, of which nothing is
left for a plateau."""


def draw_course(rng: np.random.Generator, num_intervals: int) -> int:
    """Draw how many of an episode's intervals are told to policy and base schedule as all.

    Args:
        rng: Draws the share that is left at the end of the plateau, evenly from a tenth to a half.
        num_intervals: Intervals in the episode.

    Returns:
        An even number, at most as many; 1 where there is just one interval.
    """
    left = round(num_intervals * rng.uniform(*_LEFT))
    return 2 * min(max(left, 1), num_intervals // 2) or 1


def told(interval: Counts, num_intervals: Counts, course: Counts) -> Counts:
    """Return how many intervals of the course are over, as policy and base schedule are told `[N]`.

    Args:
        interval: Intervals done `[N]`.
        num_intervals: Intervals in the episode `[N]`.
        course: Those that are told as all of them: `num_intervals` where the end is known `[N]`.

    Example:
        >>> done = np.arange(8)
        >>> told(done, np.full(8, 7), np.full(8, 4)).tolist()
        [0, 1, 2, 2, 2, 2, 3, 4]
        >>> told(done, np.full(8, 7), np.full(8, 7)).tolist()
        [0, 1, 2, 3, 4, 5, 6, 7]
    """
    return np.maximum(np.minimum(interval, course // 2), interval - (num_intervals - course))
