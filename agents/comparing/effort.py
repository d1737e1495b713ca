"""How much work a run is, and how long the rest will take.

Effort is in multiplications of the inner training, a rough measure: it decides which jobs go first,
and what opponents have really taken for it decides the time left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from agents.opponents.base import Instance
from agents.opponents.lanes import Bench

_TYPICAL_INPUTS = 20
_FIXED = 1e5
"""Of an update, whatever the model: the optimiser, and calls."""


def run_effort(instance: Instance, bench: Bench) -> float:
    """Estimate the effort of one full run."""
    num_updates = instance.task.num_decisions * bench.updates_per_decision
    return num_updates * (_FIXED + _multiplications(instance, bench))


def _multiplications(instance: Instance, bench: Bench) -> float:
    """Count those of one forward pass over a minibatch."""
    name = getattr(instance.task, "architecture", "")
    if not name:
        return 0.0
    from hpo_env.networks.registry import architecture

    model = architecture(name)
    num_inputs = math.prod(getattr(model, "image_shape", (_TYPICAL_INPUTS,)))
    weights = sum(parameter.size for parameter in model.parameters(num_inputs, 1))
    batch_size = instance.task.initial[bench.space.index("batch_size")]
    return float(batch_size * model.rows_per_input * weights)


class Pace:
    """Seconds that a worker takes for a unit of effort, by opponent."""

    def __init__(self) -> None:
        self._spent: dict[str, tuple[float, float]] = {}

    def note(self, opponent: str, effort: float, seconds: float) -> None:
        """Take in a finished job."""
        before = self._spent.get(opponent, (0.0, 0.0))
        self._spent[opponent] = before[0] + effort, before[1] + seconds

    def seconds_left(self, remaining: Mapping[str, float], num_workers: int) -> float | None:
        """Estimate how long the workers will be busy.

        An opponent that has not finished a job is taken to be as fast as the others together.

        Args:
            remaining: Effort by opponent.
            num_workers: Workers that share it.

        Returns:
            Seconds; None when nothing has finished yet.

        Example:
            >>> pace = Pace()
            >>> pace.note("cosine", effort=10.0, seconds=1.0)
            >>> pace.note("optuna_tpe", effort=10.0, seconds=3.0)
            >>> pace.seconds_left({"cosine": 20.0, "asha": 10.0}, num_workers=2)
            2.0
        """
        effort = sum(e for e, _ in self._spent.values())
        if not effort:
            return None
        overall = sum(s for _, s in self._spent.values()) / effort
        per_unit = {name: s / e for name, (e, s) in self._spent.items()}
        total = sum(e * per_unit.get(name, overall) for name, e in remaining.items())
        return total / num_workers
