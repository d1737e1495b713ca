"""The family's learned start: kept for the whole run, and with the controller on top of it.

The first says what the start is worth without a policy, the difference of the two what steering
adds to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .ablations import PolicyOpponent
from .base import Instance, Opponent, Outcome, Prepared, Setup
from .driving import run_once
from .lanes import Workload
from .rules import find_rule

_NEEDS = frozenset({"learned_start"})


def at_learned_start(instance: Instance, workload: Workload) -> Instance:
    """Return the instance as it is begun from the learned start; its lane's seed stays."""
    return replace(instance, task=workload.task_family.at_learned_start(instance.task))


@dataclass(frozen=True, kw_only=True)
class LearnedStartKept(Opponent):
    """The values of the learned start from the first interval to the last."""

    @property
    def needs(self) -> frozenset[str]:
        """A learned start; see `Opponent.needs`."""
        return _NEEDS

    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        """Begin at the learned start, wherever the user did."""
        return at_learned_start(instance, workload)

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`."""
        rule = find_rule("constant")
        return run_once(workload, instances, lambda lanes: rule(lanes, lanes.initial))


@dataclass(frozen=True, kw_only=True)
class FromLearnedStart(PolicyOpponent):
    """The policy, which begins at the learned start."""

    @property
    def needs(self) -> frozenset[str]:
        """A learned start; see `Opponent.needs`."""
        return _NEEDS

    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        """Begin at the learned start, wherever the user did."""
        return at_learned_start(instance, workload)


def kept(name: str, setup: Setup) -> Opponent:
    """The family's learned start, kept: one run, nothing looked at."""
    return LearnedStartKept(name=name)


def steered(name: str, setup: Setup) -> Opponent:
    """The setup's policy from the family's learned start."""
    return FromLearnedStart(name=name, policy=setup.policy)
