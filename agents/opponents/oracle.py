"""One-step look-ahead: try every move of the leading hyperparameter, and go on with the best.

Axes: `I` instances in a batch, `L` levels of a move, `H` hyperparameters of the family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import LEVELS
from hpo_env.schedules import interval_factors

from .base import Instance, Opponent, Outcome, Prepared, Setup
from .driving import batches
from .lanes import Lanes, Workload

Array = NDArray[np.float64]

_PREFERENCE = np.abs(LEVELS).argsort(kind="stable")
"""Levels in the order in which a tie is decided: the smallest move first."""


@dataclass(frozen=True, kw_only=True)
class GreedyOracle(Opponent):
    """Forks the run at each interval into one for each level, and keeps the lowest validation loss.

    A level moves the leading hyperparameter's correction on the base schedule, as a controller's
    action does. It costs five runs, and sees one interval ahead: what pays later is not seen. A run
    whose forks all diverge has diverged.

    Args:
        base_schedule: What moves are corrections of.
    """

    base_schedule: str

    @property
    def needs(self) -> frozenset[str]:
        """Nothing: foresight is what it is there for, also of a loss that nobody can know."""
        return frozenset()

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {"base_schedule": self.base_schedule}

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`."""
        num_levels = len(LEVELS)
        of_forks = replace(workload, max_lanes=max(1, workload.max_lanes // num_levels))
        outcomes: dict[int, Outcome] = {}
        for batch in batches(of_forks, instances):
            forks = [instances[i] for i in batch for _ in LEVELS]
            lanes = workload.open(forks)
            corrections = np.zeros((len(lanes), len(lanes.space)))
            while not lanes.is_over.all():
                corrections = self._step(lanes, corrections)
            lanes.finish(np.arange(0, len(lanes), num_levels))
            outcomes |= {i: lanes.outcome(instances[i]) for i in batch}
        return [outcomes[i] for i in range(len(instances))]

    def _step(self, lanes: Lanes, corrections: Array) -> Array:
        """Advance all forks `[I * L]` by one interval, and leave the best one in each place."""
        space, initial = lanes.space, lanes.initial
        moves = np.zeros_like(corrections)
        moves[:, lanes.workload.column] = np.tile(LEVELS, len(lanes) // len(LEVELS))
        corrections = space.move(corrections, moves, initial)
        total = np.full(len(lanes), lanes.num_intervals)
        factors = interval_factors(self.base_schedule, lanes.interval, total)
        lanes.advance(space.values(space.base(initial, factors), corrections))
        best = _best_forks(lanes.scores)
        lanes.fork(best, np.arange(len(lanes)))
        return corrections[best]


def _best_forks(scores: Array) -> NDArray[np.int64]:
    """Return for each fork `[I * L]` the place of the best of its instance."""
    in_order = scores.reshape(-1, len(LEVELS))[:, _PREFERENCE]
    best = _PREFERENCE[in_order.argmin(axis=1)]
    first = np.arange(0, len(scores), len(LEVELS))
    return np.repeat(first + best, len(LEVELS))


def oracle_greedy(name: str, setup: Setup) -> Opponent:
    """Look-ahead on the policy's base schedule."""
    return GreedyOracle(name=name, max_runs=len(LEVELS), base_schedule=setup.policy.base_schedule)
