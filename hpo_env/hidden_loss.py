"""What really happened in N lanes, where a user's run cannot know all of it.

Some losses are there in training alone: a regret against the best that is known, the error of a
forecast over points to come. They make the reward and the figures. Observation and guard have to do
without them, as they will have to in deployment, so the environment keeps two records of such a
family: this one, and that of its `Steering`, in which the loss is missing.

Axes: `N` lanes, `n` some of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.guard import rolled_back
from hpo_env.telemetry import Telemetry

Lanes = NDArray[np.int64]


def as_users_know(telemetry: Telemetry) -> Telemetry:
    """Return a copy of telemetry without the losses that a user's run cannot know."""
    known = telemetry.copy()
    known.validation_loss.fill(np.nan)
    known.validation_metric.fill(np.nan)
    return known


class TrueCourse:
    """The whole telemetry of N lanes beside the one that is shown.

    Args:
        num_lanes: `N`.

    Attributes:
        telemetry: What the last interval measured, or what holds again after a roll back `[N]`.
        first_loss: The validation loss before the first update `[N]`.

    Example:
        >>> course, start = TrueCourse(1), Telemetry.missing(1)
        >>> start.validation_loss[:] = 1.0
        >>> course.begin(np.array([0]), start)
        >>> worse = Telemetry.missing(1)
        >>> worse.validation_loss[:] = 9.0
        >>> course.close_interval(worse, was_rolled_back=np.array([True]))
        >>> course.telemetry.validation_loss.tolist()
        [1.0]
        >>> as_users_know(worse).validation_loss.tolist()
        [nan]
    """

    def __init__(self, num_lanes: int) -> None:
        self.telemetry = Telemetry.missing(num_lanes)
        self.first_loss = np.full(num_lanes, np.nan)

    def begin(self, lanes: Lanes, telemetry: Telemetry) -> None:
        """Start new runs in some of the lanes, with what was measured before updates `[n]`."""
        self.telemetry.put(lanes, telemetry)
        self.first_loss[lanes] = telemetry.validation_loss

    def close_interval(self, telemetry: Telemetry, *, was_rolled_back: NDArray[np.bool_]) -> None:
        """Take in what an interval measured `[N]`, and where it was rolled back `[N]`."""
        if was_rolled_back.any():
            telemetry = rolled_back(telemetry, was_rolled_back, self.telemetry)
        self.telemetry = telemetry

    def snapshot(self, lanes: Lanes) -> dict[str, Any]:
        """Copy all state of some lanes; `restore` is the inverse."""
        return {"telemetry": self.telemetry.take(lanes), "first_loss": self.first_loss[lanes]}

    def restore(self, lanes: Lanes, snapshot: dict[str, Any]) -> None:
        """Put a snapshot of n lanes into n lanes, the same or others."""
        self.telemetry.put(lanes, snapshot["telemetry"])
        self.first_loss[lanes] = snapshot["first_loss"]
