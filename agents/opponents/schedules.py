"""One run on a schedule that nobody tuned for the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.opponents.base import Instance, Opponent, Outcome, Prepared, Setup
from agents.opponents.driving import Choose, run_once
from agents.opponents.lanes import Bench, Lanes, with_initial
from hpo_env.schedules import interval_factors


@dataclass(frozen=True, kw_only=True)
class Scheduled(Opponent):
    """The user's own initial values, or the library's defaults, on a schedule.

    Args:
        schedule: Name of the schedule.
        is_default: Whether the learning rate and its companions start at the library's defaults
            rather than at the user's own values.
    """

    schedule: str
    is_default: bool

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {"schedule": self.schedule, "is_default": self.is_default}

    def canonical(self, instance: Instance, bench: Bench) -> Instance:
        """Set the defaults."""
        if not self.is_default:
            return instance
        return with_initial(instance, bench.defaults(instance.task))

    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        """See `Opponent.run`."""
        return run_once(bench, instances, self._start)

    def _start(self, lanes: Lanes) -> Choose:
        initial, total = lanes.initial, np.full(len(lanes), lanes.num_intervals)
        return lambda lanes, telemetry: lanes.space.base(
            initial, interval_factors(self.schedule, lanes.interval, total)
        )


def default(name: str, setup: Setup) -> Opponent:
    """The library's default values, kept."""
    return Scheduled(name=name, schedule="constant", is_default=True)
