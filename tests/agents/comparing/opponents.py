"""Opponents that behave and that do not, on quadratics; workers import them from here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

from agents.evaluation.suites import Suite
from agents.opponents.base import Instance, Opponent, Outcome, Prepared, Setup
from agents.opponents.driving import run_once
from agents.opponents.lanes import Bench, with_initial

NEAR = Suite(
    name="near",
    help="short runs",
    family="quadratic",
    family_options={"split": "test", "num_decisions": 4},
)
FAR = Suite(
    name="far",
    help="runs of twice the length",
    family="quadratic",
    family_options={"split": "test", "num_decisions": 8},
)


@dataclass(frozen=True, kw_only=True)
class Steady(Opponent):
    """Keeps the user's values."""

    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        return run_once(bench, instances, lambda lanes: lambda lanes, _: lanes.initial)


@dataclass(frozen=True, kw_only=True)
class Indifferent(Steady):
    """Ignores the user's initial values."""

    def canonical(self, instance: Instance, bench: Bench) -> Instance:
        return with_initial(instance, bench.defaults(instance.task))


@dataclass(frozen=True, kw_only=True)
class Slow(Steady):
    """Takes its time; with a budget of two runs, each cell is a job.

    Args:
        seconds: How long it waits before each job.
    """

    max_runs: int = 2
    seconds: float = 0.2

    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        time.sleep(self.seconds)
        return super().run(bench, instances, prepared)


@dataclass(frozen=True, kw_only=True)
class Learned(Steady):
    """Runs at a rate that it learned."""

    def prepare(self, bench: Bench, instances: Sequence[Instance]) -> Prepared:
        return {"rate": 1.0 / len(instances)}

    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        rate = prepared["rate"]
        return run_once(bench, instances, lambda lanes: lambda lanes, _: 0 * lanes.initial + rate)


@dataclass(frozen=True, kw_only=True)
class Unteachable(Steady):
    """Raises when it is prepared."""

    def prepare(self, bench: Bench, instances: Sequence[Instance]) -> Prepared:
        raise RuntimeError("nothing learned")


@dataclass(frozen=True, kw_only=True)
class Broken(Steady):
    """Raises when it is run."""

    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        raise ValueError("no such luck")


@dataclass(frozen=True, kw_only=True)
class Deadly(Steady):
    """Takes its process with it."""

    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")


def steady(name: str, setup: Setup) -> Opponent:
    return Steady(name=name)


def slow(name: str, setup: Setup) -> Opponent:
    return Slow(name=name)


def learned(name: str, setup: Setup) -> Opponent:
    return Learned(name=name)


def broken(name: str, setup: Setup) -> Opponent:
    return Broken(name=name)
