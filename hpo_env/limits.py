"""The limits within which a policy moves hyperparameters: lowest values, and longest runs.

What a policy does in runs that are longer than those of its meta-training can be wrong: a rate that
falls with every decision has fallen too far after many. A lowest value that costs nothing where it
was trained keeps it from that. It holds the policy's moves up, and no others: a user's own value
may lie below, and the guard cuts a rate as far as it has to. And what pays in short runs alone is
left as it is in long ones.

Axes: `N` lanes, `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def check_most_decisions(most: Mapping[str, int], space: HyperparameterSpace) -> None:
    """Check the lengths of runs in which hyperparameters of a space are moved.

    Raises:
        UnknownNameError: There is one of another hyperparameter.
        ConfigurationError: One is no whole number from 1 on.
    """
    for name, count in most.items():
        space.index(name)
        if type(count) is not int or count < 1:
            raise ConfigurationError(
                f"most_decisions: that of {name} must be a whole number from 1 on; got {count!r}"
            )


def moved_in(
    num_decisions: int | None, names: Sequence[str], most: Mapping[str, int]
) -> tuple[str, ...]:
    """Return which of some hyperparameters are moved in a run, in their order.

    Args:
        num_decisions: Of the run; None: its end is not known, and all are moved.
        names: What can be moved.
        most: How many decisions a run has at most in which they are, by name; see
            `Policy.most_decisions`.

    Returns:
        Those that are left; all where none would be, as that were no steered run.

    Example:
        >>> moved_in(60, ["learning_rate", "epochs"], {"epochs": 50})
        ('learning_rate',)
    """
    if num_decisions is None:
        return tuple(names)
    return tuple(n for n in names if num_decisions <= most.get(n, num_decisions)) or tuple(names)


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
