"""What grows the trees of N lanes: the engines have these methods, and the trainer calls them.

Axes: `N` lanes, `n` of them, `T` rounds, `H` hyperparameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.automl.task import AutomlTask

Array = NDArray[np.float64]
Lanes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounds:
    """Losses after each round of an interval, `[N, T]`; NaN where none was measured.

    Args:
        train: On the rows that train, at least after the last round.
        validation: On validation rows.
        test: On test rows, at least after rounds that are the best so far; for results alone.
        test_metric: R² or accuracy, the same.
    """

    train: Array
    validation: Array
    test: Array
    test_metric: Array


class Boosters(Protocol):
    """Boosting in N lanes; each is a function of its task, its seed and its values."""

    def start(self, lanes: Lanes, tasks: list[AutomlTask], seeds: list[int]) -> Rounds:
        """Start in some lanes from the best constants; return their losses `[n, 1]`."""

    def advance(self, values: Array, num_rounds: NDArray[np.int64], best: Array) -> Rounds:
        """Grow trees in every lane.

        Args:
            values: Hyperparameters in the family's order `[N, H]`.
            num_rounds: How many rounds `[N]`.
            best: Lowest validation losses so far `[N]`: tested are the rounds that are below.
        """

    def snapshot(self, lanes: Lanes) -> Any:
        """Copy all state of some lanes; `restore` is the inverse."""

    def restore(self, lanes: Lanes, snapshot: Any) -> None:
        """Put a snapshot of n lanes into n lanes."""

    def put_back(self, lanes: Lanes) -> None:
        """Take the trees of the last interval away; what is random goes on."""
