"""The lowest values that a policy may bring hyperparameters down to.

What a policy does late in runs that are longer than those of its meta-training can be wrong: a rate
that falls with every decision has fallen too far after many. A bound that costs nothing where it
was trained keeps it from that. It holds the policy's moves up, and no others: a user's own value
may lie below, and the guard cuts a rate as far as it has to.

Axes: `N` lanes, `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import is_number
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace

Array = NDArray[np.float64]


def check_lowest(lowest: Mapping[str, float], space: HyperparameterSpace) -> None:
    """Check that bounds lie in the ranges of hyperparameters of a space.

    Raises:
        UnknownNameError: There is one of another hyperparameter.
        ConfigurationError: One is no number, or outside of its range.
    """
    for name, value in lowest.items():
        known = space.hyperparameters[space.index(name)]
        if not (is_number(value) and known.low <= value <= known.high):
            raise ConfigurationError(
                f"lowest: {name} must lie in [{known.low:g}, {known.high:g}]; got {value!r}"
            )


@dataclass(frozen=True)
class Bounds:
    """Where moves end that lead down.

    Args:
        positions: Of the bounds in the ranges of the hyperparameters, from -1 to 1; minus infinity
            where there is none `[H]`.
        steps: How far a move of 1 leads there `[H]`.
    """

    positions: Array
    steps: Array

    @classmethod
    def of(cls, lowest: Mapping[str, float], space: HyperparameterSpace) -> Bounds:
        """Find them by name; a hyperparameter without one is moved as before, to the last bit."""
        values = np.array([lowest.get(h.name, h.default) for h in space.hyperparameters])
        positions = np.where(np.isin(space.names, list(lowest)), space.position(values), -np.inf)
        ranges = space.to_axis(space.high) - space.to_axis(space.low)
        return cls(positions, 2.0 * space.steps / ranges)

    def held(self, moves: Array, positions: Array) -> Array:
        """Return moves `[N, H]` from positions `[N, H]` that lead no further down than the bounds.

        From below a bound nothing leads further down.

        Example:
            >>> bounds = Bounds(np.array([-0.5]), np.array([0.5]))
            >>> moves, positions = np.full((3, 1), -1.0), np.array([[0.5], [-0.25], [-0.75]])
            >>> bounds.held(moves, positions).ravel().tolist()
            [-1.0, -0.5, 0.0]
        """
        return np.asarray(
            np.maximum(moves, np.minimum((self.positions - positions) / self.steps, 0.0))
        )
