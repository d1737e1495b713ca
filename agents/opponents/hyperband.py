"""Hyperband: brackets of Successive Halving from many short runs to a few complete ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

from .base import Opponent, Setup
from .successive_halving import ETA, SuccessiveHalving, most_halvings


def hyperband_sizes(most: int) -> list[tuple[int, int]]:
    """Return size and number of halvings of each bracket (Li et al., 2018, algorithm 1, line 3).

    The paper's formula counts every rung as if runs were trained anew, so that brackets cost about
    the same.

    Args:
        most: Halvings in the first bracket.

    Example:
        >>> hyperband_sizes(3)
        [(27, 3), (12, 2), (6, 1), (4, 0)]
    """
    return [
        (-(-(most + 1) * ETA**halvings // (halvings + 1)), halvings)
        for halvings in range(most, -1, -1)
    ]


@dataclass(frozen=True, kw_only=True)
class Hyperband(SuccessiveHalving):
    """Goes through Hyperband's brackets again and again until the budget is spent."""

    def plan(self, num_intervals: int) -> Iterator[tuple[int, int]]:
        """See `SuccessiveHalving.plan`."""
        return cycle(hyperband_sizes(most_halvings(num_intervals)))


def hyperband(name: str, setup: Setup) -> Opponent:
    """Hyperband with the setup's budget."""
    return Hyperband(name=name, max_runs=setup.num_runs, hyperparameters=setup.hyperparameters)
