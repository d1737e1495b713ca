"""Opponents that behave and that do not, on quadratics; workers import them from here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.opponents.base import Instance, Opponent, Outcome, Prepared, Setup
from agents.opponents.driving import run_once
from agents.opponents.lanes import Workload, with_initial
from hpo_env.policy import Policy
from hpo_env.tasks.base import Suite

NEAR = Suite(
    name="near",
    help="short quadratics",
    options={"split": "test", "num_decisions": 3},
)
FAR = Suite(
    name="far",
    help="quadratics that are twice as long",
    options={"split": "test", "num_decisions": 6},
)


@dataclass(frozen=True, kw_only=True)
class Steady(Opponent):
    """Keeps the user's own values."""

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        return run_once(workload, instances, lambda lanes: lambda lanes, telemetry: lanes.initial)


@dataclass(frozen=True, kw_only=True)
class Indifferent(Steady):
    """Starts at the library's defaults whatever the user started from."""

    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        return with_initial(instance, workload.defaults(instance.task))


@dataclass(frozen=True, kw_only=True)
class Guided(Steady):
    """Holds a policy."""

    policy: Policy


@dataclass(frozen=True, kw_only=True)
class Learned(Steady):
    """Trains at a rate that it finds on the meta-training instances: a tenth of their number."""

    def prepare(self, workload: Workload, instances: Sequence[Instance]) -> Prepared:
        return {"rate": len(instances) / 10}

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        def start(lanes: Any) -> Any:
            return lambda lanes, telemetry: 0.0 * lanes.initial + prepared["rate"]

        return run_once(workload, instances, start)


@dataclass(frozen=True, kw_only=True)
class Unteachable(Learned):
    """Fails at learning."""

    def prepare(self, workload: Workload, instances: Sequence[Instance]) -> Prepared:
        raise RuntimeError("nothing learned")


@dataclass(frozen=True, kw_only=True)
class Broken(Steady):
    """Raises as soon as it is to run."""

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        raise ValueError("no such luck")


@dataclass(frozen=True, kw_only=True)
class Deadly(Steady):
    """Takes its process with it."""

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []


@dataclass(frozen=True, kw_only=True)
class Slow(Steady):
    """Takes its time over every instance; a search, so that each is a job."""

    max_runs: int = field(default=2)
    seconds: float = 0.3

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        time.sleep(self.seconds * len(instances))
        return super().run(workload, instances, prepared)


@dataclass(frozen=True, kw_only=True)
class Mystery(Steady):
    """Has an identity that JSON cannot hold."""

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"secret": object()}


def steady(name: str, setup: Setup) -> Opponent:
    """Keep the user's values."""
    return Steady(name=name)


def indifferent(name: str, setup: Setup) -> Opponent:
    """Start at the defaults."""
    return Indifferent(name=name)


def guided(name: str, setup: Setup) -> Opponent:
    """Hold the policy."""
    return Guided(name=name, policy=setup.policy)


def learned(name: str, setup: Setup) -> Opponent:
    """Learn a rate."""
    return Learned(name=name)


def broken(name: str, setup: Setup) -> Opponent:
    """Raise."""
    return Broken(name=name)


def slow(name: str, setup: Setup) -> Opponent:
    """Take time."""
    return Slow(name=name)


def registered(*names: str) -> dict[str, str]:
    """Return registry lines of the makers above; the controller is `guided`."""
    lines = {name: f"{__name__}:{name}" for name in names}
    return {"controller": f"{__name__}:guided"} | lines
