"""What all opponents that train many times have in common.

Axes: `H` hyperparameters of the family.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .base import Instance, Opponent, Outcome, Prepared
from .lanes import Workload, with_initial
from .trials import Trials


@dataclass(frozen=True, kw_only=True)
class Search(Opponent):
    """Trains many times, and returns the complete run with the lowest validation loss.

    Values are chosen anew whatever the user started from, so canonical instances start what is
    chosen at the family's defaults; the rest stays at the user's values.

    Args:
        hyperparameters: Those that are chosen.
        schedule: What every trial follows. By default the cosine: the strongest of the schedules
            that have nothing to tune but the initial rate.
    """

    hyperparameters: tuple[str, ...]
    schedule: str = "cosine"

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {
            "hyperparameters": list(self.hyperparameters),
            "schedule": self.schedule,
        }

    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        """Start what is chosen at the family's defaults."""
        values, defaults = np.array(instance.task.initial), workload.defaults(instance.task)
        columns = [workload.space.index(name) for name in self.hyperparameters]
        values[columns] = defaults[columns]
        return with_initial(instance, values)

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """Search on one instance after the other; the trials of one train side by side."""
        return [self._run(workload, instance) for instance in instances]

    def _run(self, workload: Workload, instance: Instance) -> Outcome:
        trials = Trials(
            workload,
            instance,
            hyperparameters=self.hyperparameters,
            schedule=self.schedule,
            max_runs=self.max_runs,
        )
        self.search(trials)
        return trials.lanes.outcome(instance)

    @abstractmethod
    def search(self, trials: Trials) -> None:
        """Spend the budget on one instance, and end at least one trial."""
