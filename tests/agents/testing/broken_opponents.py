"""Opponents of which each breaks one rule, and their makers' addresses lead here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agents.opponents.base import Instance, Opponent, Outcome, Prepared, Setup
from agents.opponents.driving import run_once
from agents.opponents.lanes import Workload


def kept(workload: Workload, instances: Sequence[Instance], factor: float = 1.0) -> list[Outcome]:
    """Run once, at a multiple of the user's own values."""
    return run_once(workload, instances, lambda lanes: lambda lanes, _: factor * lanes.initial)


@dataclass(frozen=True, kw_only=True)
class Sound(Opponent):
    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        return kept(workload, instances)


class Spendthrift(Sound):
    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        once = kept(workload, instances)
        return [replace(outcome, num_updates=2 * outcome.num_updates) for outcome in once]


class Whimsical(Sound):
    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        return kept(workload, instances, np.random.default_rng().uniform(0.5, 1.0))


class Sociable(Sound):
    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        return kept(workload, instances, 1.0 / len(instances))


class Peeking(Sound):
    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        pairs = zip(kept(workload, instances), kept(workload, instances, 0.1), strict=True)
        return [min(pair, key=lambda outcome: outcome.test_loss) for pair in pairs]


class Anonymous(Sound):
    def identity(self) -> dict[str, Any]:
        return super().identity() | {"name": ""}


class Fickle(Sound):
    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        return replace(instance, seed=instance.seed + 1)


class Modest(Sound):
    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        return [
            replace(outcome, trial_validation_loss=0.5 * outcome.trial_validation_loss)
            for outcome in kept(workload, instances)
        ]


def _maker(kind: type[Opponent]) -> Callable[[str, Setup], Opponent]:
    return lambda name, setup: kind(name=name)


sound = _maker(Sound)
spendthrift = _maker(Spendthrift)
whimsical = _maker(Whimsical)
sociable = _maker(Sociable)
peeking = _maker(Peeking)
anonymous = _maker(Anonymous)
fickle = _maker(Fickle)
modest = _maker(Modest)
