"""Opponents for comparisons on short quadratics; processes that are started import them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.opponents.base import Instance, Opponent, Outcome, Prepared, Setup
from agents.opponents.driving import run_once
from agents.opponents.lanes import Workload
from agents.opponents.registry import OPPONENTS
from hpo_env.tasks.base import Suite
from hpo_env.tasks.quadratic import QuadraticFamily

TINY = Suite(name="tiny", help="short quadratics", options={"split": "test", "num_decisions": 4})


@dataclass(frozen=True, kw_only=True)
class Slow(Opponent):
    """Keeps the user's values. With a budget of two runs each cell is a job.

    Args:
        seconds: How long it waits before each job.
        fuse: While this file exists, it raises.
    """

    seconds: float = 0.0
    fuse: Path | None = None

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        if self.fuse is not None and self.fuse.exists():
            raise ZeroDivisionError("no rate left")
        time.sleep(self.seconds)
        return run_once(workload, instances, lambda lanes: lambda lanes, _: lanes.initial)


FUSE = "fuse"


def slow(name: str, setup: Setup) -> Opponent:
    return Slow(name=name, max_runs=2, seconds=0.15)


def fused(name: str, setup: Setup) -> Opponent:
    """Raises as long as there is a file `fuse` in the current folder."""
    return Slow(name=name, fuse=Path(FUSE))


def register() -> None:
    """Add the suite and the opponents to the registries of this process."""
    QuadraticFamily.suites = (*QuadraticFamily.suites, TINY)
    OPPONENTS["slow"] = f"{__name__}:slow"
    OPPONENTS["fused"] = f"{__name__}:fused"
