"""What proposes a search's configurations, and learns from what came of them.

Axes: `K` trials, `D` hyperparameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .trials import Trial

Array = NDArray[np.float64]


class Sampler(ABC):
    """Proposes points of the search space; the user owns the loop."""

    @abstractmethod
    def ask(self, count: int) -> Array:
        """Return points `[count, D]` to be tried next; every call's trials are numbered on."""

    @abstractmethod
    def tell(self, trials: Sequence[Trial]) -> None:
        """Learn from trials that have ended, be they complete or stopped early."""


class RandomSampler(Sampler):
    """Draws evenly from the cube, each time on its own.

    Args:
        rng: What to draw from.
        num_hyperparameters: `D`.
    """

    def __init__(self, rng: np.random.Generator, num_hyperparameters: int) -> None:
        self._rng, self._num_hyperparameters = rng, num_hyperparameters

    def ask(self, count: int) -> Array:
        """Draw points; see `Sampler.ask`."""
        return self._rng.random((count, self._num_hyperparameters))

    def tell(self, trials: Sequence[Trial]) -> None:
        """Learn nothing."""
