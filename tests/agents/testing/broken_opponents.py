"""Opponents of which each breaks one rule, and their makers' addresses lead here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agents.opponents.base import Instance, Opponent, Outcome, Prepared, Setup
from agents.opponents.driving import run_once
from agents.opponents.lanes import Bench


def kept(bench: Bench, instances: Sequence[Instance], factor: float = 1.0) -> list[Outcome]:
    """Run once, at a multiple of the user's own values."""
    return run_once(bench, instances, lambda lanes: lambda lanes, _: factor * lanes.initial)


@dataclass(frozen=True, kw_only=True)
class Sound(Opponent):
    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        return kept(bench, instances)


class Spendthrift(Sound):
    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        once = kept(bench, instances)
        return [replace(outcome, num_updates=2 * outcome.num_updates) for outcome in once]


class Whimsical(Sound):
    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        return kept(bench, instances, np.random.default_rng().uniform(0.5, 1.0))


class Sociable(Sound):
    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        return kept(bench, instances, 1.0 / len(instances))


class Peeking(Sound):
    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        pairs = zip(kept(bench, instances), kept(bench, instances, 0.1), strict=True)
        return [min(pair, key=lambda outcome: outcome.test_loss) for pair in pairs]


class Anonymous(Sound):
    def identity(self) -> dict[str, Any]:
        return super().identity() | {"name": ""}


class Fickle(Sound):
    def canonical(self, instance: Instance, bench: Bench) -> Instance:
        return replace(instance, seed=instance.seed + 1)


class Modest(Sound):
    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        return [
            replace(outcome, trial_validation_loss=0.5 * outcome.trial_validation_loss)
            for outcome in kept(bench, instances)
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
