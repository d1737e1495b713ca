"""One run under a rule that nobody tuned for the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .base import Instance, Opponent, Outcome, Prepared, Setup
from .configurations import at_defaults
from .driving import run_once
from .lanes import Workload
from .rules import find_rule, rule_needs


@dataclass(frozen=True, kw_only=True)
class Scheduled(Opponent):
    """The user's own initial values, or the family's defaults, under a rule.

    Args:
        schedule: Name of the rule, in `rules.RULES`.
        is_default: Whether the leading and the given hyperparameters start at the family's
            defaults rather than at the user's own values.
        hyperparameters: Those that opponents may choose. The others belong to the task, as the
            size of its minibatches does, and stay as they are.

    Raises:
        UnknownNameError: There is no such rule.
    """

    schedule: str
    is_default: bool
    hyperparameters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the name."""
        find_rule(self.schedule)

    @property
    def needs(self) -> frozenset[str]:
        """What the rule needs; see `Opponent.needs`."""
        return rule_needs(self.schedule)

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {
            "schedule": self.schedule,
            "is_default": self.is_default,
            "hyperparameters": list(self.hyperparameters),
        }

    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        """Set the defaults."""
        if not self.is_default:
            return instance
        return at_defaults(instance, workload, self.hyperparameters)

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`."""
        rule = find_rule(self.schedule)
        return run_once(workload, instances, lambda lanes: rule(lanes, lanes.initial))


def default(name: str, setup: Setup) -> Opponent:
    """The family's default values, kept."""
    return Scheduled(
        name=name, schedule="constant", is_default=True, hyperparameters=setup.hyperparameters
    )


def from_defaults(name: str, setup: Setup) -> Opponent:
    """The rule that it is named after, from the default rate: nobody tuned it."""
    return Scheduled(
        name=name, schedule=name, is_default=True, hyperparameters=setup.hyperparameters
    )


def user_constant(name: str, setup: Setup) -> Opponent:
    """The user's own initial values, kept."""
    return Scheduled(name=name, schedule="constant", is_default=False)


def frozen(name: str, setup: Setup) -> Opponent:
    """The user's own initial values on the policy's base schedule: the controller switched off."""
    return Scheduled(name=name, schedule=setup.policy.base_schedule, is_default=False)
