"""Grid search: the best of a regular grid over the hyperparameters' ranges.

Axes: `K` trials, `D` hyperparameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .base import Opponent, Setup
from .search import Search
from .trials import Trials


def grid_levels(num_points: int, num_hyperparameters: int) -> list[int]:
    """Return how many levels each one gets: as even as can be, the earlier ones first.

    The first is the learning rate, where there is one, which matters most.

    Example:
        >>> grid_levels(32, 2), grid_levels(32, 1), grid_levels(3, 2)
        ([6, 5], [32], [3, 1])
    """
    levels = [1] * num_hyperparameters
    while True:
        for d in sorted(range(num_hyperparameters), key=lambda k: levels[k]):
            if int(np.prod(levels)) // levels[d] * (levels[d] + 1) <= num_points:
                levels[d] += 1
                break
        else:
            return levels


def grid_points(num_points: int, num_hyperparameters: int) -> NDArray[np.float64]:
    """Return the grid's points `[K, D]`, K <= num_points.

    Levels lie in the middles of equal parts of a range: the ends, where runs diverge or stand
    still, would be wasted.

    Example:
        >>> grid_points(2, 1).tolist()
        [[0.25], [0.75]]
    """
    axes = [(np.arange(n) + 0.5) / n for n in grid_levels(num_points, num_hyperparameters)]
    return np.array(list(product(*axes)))


@dataclass(frozen=True, kw_only=True)
class GridSearch(Search):
    """Tries every combination of levels, all of them side by side."""

    def search(self, trials: Trials) -> None:
        """See `Search.search`."""
        grid = trials.make(grid_points(self.max_runs, len(trials.space)))
        trials.train(grid)
        trials.end(grid)


def grid_search(name: str, setup: Setup) -> Opponent:
    """Grid search with the setup's budget."""
    return GridSearch(name=name, max_runs=setup.num_runs, hyperparameters=setup.hyperparameters)
