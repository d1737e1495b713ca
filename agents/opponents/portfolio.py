"""A portfolio: an ordered list of configurations that was learned on the meta-training tasks.

After OptList (Metz et al., "Using a thousand optimization tasks to learn hyperparameter search
strategies", 2020): the list is to be tried from the top, as far as the budget goes.

Axes: `I` meta-training instances, `C` configurations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.seeding import stream

from .base import Instance, Opponent, Outcome, Prepared, Setup
from .configurations import Configuration, at_defaults, draw_values, log_losses
from .driving import batches
from .lanes import Lanes, Workload
from .tuned import distinct_canonical

Array = NDArray[np.float64]

SCHEDULES = ("cosine", "one_cycle", "constant", "linear")
NUM_CANDIDATES = 48
"""Configurations that are compared, in turn on each of the schedules: twice as many as a single
configuration is chosen from, as the portfolio takes many."""
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Portfolio(Opponent):
    """Trains under one configuration of the list after the other, and keeps the best run.

    Args:
        hyperparameters: The hyperparameters that a configuration sets.
    """

    hyperparameters: tuple[str, ...]

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {"hyperparameters": list(self.hyperparameters)}

    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        """Start the hyperparameters at the family's defaults."""
        return at_defaults(instance, workload, self.hyperparameters)

    def prepare(self, workload: Workload, instances: Sequence[Instance]) -> Prepared:
        """Learn the list.

        Returns:
            `configurations`, in the order in which they are to be tried.

        Raises:
            ConfigurationError: There are no instances.
        """
        distinct = distinct_canonical(self, workload, instances)
        candidates = self.candidates(workload)
        order = greedy_order(log_losses(workload, distinct, candidates))[: self.max_runs]
        return {"configurations": [candidates[c].to_json() for c in order]}

    def candidates(self, workload: Workload) -> list[Configuration]:
        """List what is compared: the family's defaults on each schedule, and what was drawn."""
        num_schedules = len(SCHEDULES)
        rng = stream(_SEED, "portfolio")
        drawn = draw_values(
            workload.space, self.hyperparameters, NUM_CANDIDATES - num_schedules, rng
        )
        return [
            Configuration(schedule=SCHEDULES[c % num_schedules], values=values)
            for c, values in enumerate([{}] * num_schedules + drawn)
        ]

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """Train instances side by side, configurations one after the other."""
        listed = [Configuration.from_json(data) for data in prepared["configurations"]]
        outcomes: dict[int, Outcome] = {}
        for batch in batches(workload, instances):
            lanes = workload.open([instances[i] for i in batch])
            for number, configuration in enumerate(listed[: self.max_runs]):
                if number > 0:
                    lanes.restart(np.arange(len(lanes)))
                _train(lanes, configuration)
            outcomes |= {i: lanes.outcome(instances[i]) for i in batch}
        return [outcomes[i] for i in range(len(instances))]


def _train(lanes: Lanes, configuration: Configuration) -> None:
    choose, telemetry = configuration.start(lanes), None
    while not lanes.is_over.all():
        telemetry = lanes.advance(choose(lanes, telemetry))
    lanes.finish(np.arange(len(lanes)))


def greedy_order(scores: Array) -> list[int]:
    """Order configurations so that the best of the first `k` is good on every instance, for all k.

    Next comes the one that lowers the mean over instances of the best score so far most; among
    those that lower it equally, the one with the lowest mean of its own.

    Args:
        scores: Log losses `[I, C]`.

    Returns:
        All configurations in order.

    Example:
        >>> greedy_order(np.array([[0.0, 5.0, 1.0], [5.0, 0.0, 4.0]]))
        [0, 1, 2]
    """
    best = np.full(len(scores), np.inf)
    own = scores.mean(axis=0)
    left, order = list(range(scores.shape[1])), []
    while left:
        reached = [float(np.minimum(best, scores[:, c]).mean()) for c in left]
        chosen = min(zip(reached, own[left], left, strict=True))[2]
        best = np.minimum(best, scores[:, chosen])
        order.append(chosen)
        left.remove(chosen)
    return order


def portfolio(name: str, setup: Setup) -> Opponent:
    """As many configurations as the setup's budget has runs."""
    return Portfolio(name=name, max_runs=setup.num_runs, hyperparameters=setup.hyperparameters)
