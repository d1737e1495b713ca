"""A setting that somebody else has published for what a family trains, kept for the whole run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpo_env.tasks.base import setting_need

from .base import Instance, Opponent, Outcome, Prepared, Setup
from .configurations import at_defaults
from .driving import run_once
from .lanes import Workload
from .rules import find_rule


@dataclass(frozen=True, kw_only=True)
class PublishedSetting(Opponent):
    """A setting that the family says others have published; the rest is at the defaults.

    Args:
        setting: Its name among the family's `published_settings`.
        hyperparameters: Those that opponents may choose.
    """

    setting: str
    hyperparameters: tuple[str, ...]

    @property
    def needs(self) -> frozenset[str]:
        """The setting; see `Opponent.needs`."""
        return frozenset({setting_need(self.setting)})

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {
            "setting": self.setting,
            "hyperparameters": list(self.hyperparameters),
        }

    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        """Begin at the setting, wherever the user did."""
        family = workload.task_family
        plain = at_defaults(instance, workload, self.hyperparameters)
        start = family.published_settings[self.setting]
        return replace(plain, task=family.begun_at(start, plain.task))

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`."""
        rule = find_rule("constant")
        return run_once(workload, instances, lambda lanes: rule(lanes, lanes.initial))


def published(name: str, setup: Setup) -> Opponent:
    """A setting that others recommend for what the family trains, kept."""
    return PublishedSetting(name=name, setting=name, hyperparameters=setup.hyperparameters)
