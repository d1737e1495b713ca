"""Observations and rewards as `VecNormalize` of Stable-Baselines3 normalises them by default.

Running moments after Chan, Golub and LeVeque, kept in the learner's memory in float32. A learner of
a task that does not normalise sees everything as it is.

Axes: `E` environments, `D` numbers in an observation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.reinforcement.environments.base import Floats
from hpo_env.tasks.reinforcement.memory import Learner

_BOUND, _EPSILON, _DISCOUNT, _FIRST_COUNT = 10.0, np.float32(1e-8), np.float32(0.99), 1e-4


class Normaliser:
    """What a learner makes of what its environments show and pay."""

    def __init__(self, learner: Learner) -> None:
        self.is_on = learner.task.normalises
        self._mean, self._var = learner.part("seen_mean"), learner.part("seen_var")
        self._discounted, self._scales = learner.part("discounted"), learner.part("scales")

    def begin(self) -> None:
        """Forget everything."""
        self._mean[:], self._var[:], self._discounted[:] = 0.0, 1.0, 0.0
        self._scales[:] = _FIRST_COUNT, 0.0, 1.0, _FIRST_COUNT

    def take_observations(self, raw: Floats) -> None:
        """Take in what all environments show `[E, D]`."""
        if self.is_on:
            _take(raw, self._mean, self._var, self._scales[0])
            self._scales[0] += len(raw)

    def seen(self, raw: Floats) -> Floats:
        """Return what the learner sees of observations `[..., D]`."""
        if not self.is_on:
            return raw
        scaled = (raw - self._mean) / np.sqrt(self._var + _EPSILON)
        return np.asarray(np.clip(scaled, -_BOUND, _BOUND))

    def rewards(self, paid: Floats, over: NDArray[np.bool_]) -> Floats:
        """Return what the learner gets `[E]` of the rewards of one step.

        Args:
            paid: By each environment `[E]`.
            over: Where an episode is over `[E]`.
        """
        if not self.is_on:
            return paid
        self._discounted[:] = self._discounted * _DISCOUNT + paid
        mean, var = self._scales[1:2], self._scales[2:3]
        _take(self._discounted[:, None], mean, var, self._scales[3])
        self._scales[3] += len(paid)
        self._discounted[over] = 0.0
        return np.asarray(np.clip(paid / np.sqrt(var[0] + _EPSILON), -_BOUND, _BOUND))


def _take(x: Floats, mean: Floats, var: Floats, count: np.float32) -> None:
    """Merge rows `x [n, D]` into running moments, in place."""
    rows = np.float32(len(x))
    batch = x.mean(axis=0)
    squares = np.sum((x - batch) ** 2, axis=0)
    total, delta = count + rows, batch - mean
    var[:] = (var * count + squares + delta**2 * count * rows / total) / total
    mean += delta * rows / total
