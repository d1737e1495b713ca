"""Where searches look: ranges of hyperparameters, each on its own scale, as a unit cube.

Every search sees the same cube `[0, 1]^D`, one coordinate a hyperparameter, so none depends on how
a library spells a logarithmic range, and all of them cover the same values.

Axes: `K` trials, `D` hyperparameters that are searched, `H` hyperparameters of the family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import HyperparameterSpace

from .starts import lowest_start

Array = NDArray[np.float64]


class SearchSpace:
    """The hyperparameters' ranges as a unit cube.

    Args:
        space: All hyperparameters of the family.
        hyperparameters: Names of those that are searched.

    Raises:
        UnknownNameError: A hyperparameter is not in the family.

    Example:
        >>> from hpo_env.tasks.registry import make_family
        >>> space = make_family("supervised").space
        >>> search = SearchSpace(space, ("learning_rate", "dropout"))
        >>> search.decode(np.array([[0.4, 0.5]]), space.defaults)[0, [0, 4]].round(6).tolist()
        [0.001, 0.25]
    """

    def __init__(self, space: HyperparameterSpace, hyperparameters: Sequence[str]) -> None:
        self.hyperparameters = tuple(hyperparameters)
        self._columns = np.array([space.index(name) for name in hyperparameters])
        subset = space.subset(hyperparameters)
        self._space = HyperparameterSpace(
            replace(h, low=lowest_start(h)) for h in subset.hyperparameters
        )
        self._low = self._space.to_axis(self._space.low)
        self.width = self._space.to_axis(self._space.high) - self._low
        """Length of each hyperparameter's range on its own axis `[D]`: 1 of the cube."""

    def __len__(self) -> int:
        return len(self.hyperparameters)

    @property
    def is_linear(self) -> NDArray[np.bool_]:
        """Which hyperparameters have a linear scale; the others' are logarithmic `[D]`."""
        return np.array([h.scale == "linear" for h in self._space.hyperparameters])

    def decode(self, points: Array, initial: Array) -> Array:
        """Turn points of the cube into values; inverse of `encode`, up to whole batch sizes.

        Args:
            points: In `[0, 1]`, `[K, D]`.
            initial: Values of what is not searched `[H]`.

        Returns:
            `[K, H]`.
        """
        low = np.broadcast_to(self._space.low, points.shape)
        found = self._space.values(low, points * self.width)
        values = np.tile(initial, (len(points), 1))
        values[:, self._columns] = np.clip(found, self._space.low, self._space.high)
        return values

    def encode(self, values: Array) -> Array:
        """Turn values `[K, H]` into points `[K, D]`; those outside the range go to its ends."""
        share = (self._space.to_axis(values[:, self._columns]) - self._low) / self.width
        return np.asarray(np.clip(share, 0.0, 1.0))
