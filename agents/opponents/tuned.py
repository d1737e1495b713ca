"""One run under a configuration that was chosen once for all, on the meta-training tasks.

Axes: `I` meta-training instances, `C` candidates.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.seeding import stream

from .base import Instance, Opponent, Outcome, Prepared, Setup, label_need
from .configurations import Configuration, at_defaults, draw_values, log_losses
from .driving import Choose, run_once
from .lanes import Lanes, Workload
from .rules import find_rule, rule_needs
from .starts import start_grid

Array = NDArray[np.float64]

NUM_DRAWN = 23
"""Configurations that are drawn; with the family's defaults, 24 are compared."""
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Tuned(Opponent):
    """The candidate with the lowest mean log validation loss over the meta-training instances.

    What is not tuned starts at the family's defaults where opponents may choose it, and at the
    user's own value where not.

    Args:
        schedule: Name of the rule that the leading hyperparameter follows.
        hyperparameters: Those that opponents may choose.
    """

    schedule: str
    hyperparameters: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the name of the rule."""
        find_rule(self.schedule)

    @property
    def needs(self) -> frozenset[str]:
        """What the rule needs; see `Opponent.needs`."""
        return rule_needs(self.schedule)

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {
            "schedule": self.schedule,
            "hyperparameters": list(self.hyperparameters),
        }

    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        """Start what may be chosen at the family's defaults."""
        return at_defaults(instance, workload, self.hyperparameters)

    @abstractmethod
    def candidates(self, workload: Workload) -> list[dict[str, float]]:
        """List the values that are compared, by hyperparameter."""

    def prepare(self, workload: Workload, instances: Sequence[Instance]) -> Prepared:
        """Train every meta-training instance under every candidate, and keep the best.

        Returns:
            `overall`, the best candidate; `scores`, the mean of each; `candidates`.

        Raises:
            ConfigurationError: There are no instances.
        """
        distinct = distinct_canonical(self, workload, instances)
        candidates = self.candidates(workload)
        configurations = [Configuration(schedule=self.schedule, values=v) for v in candidates]
        scores = log_losses(workload, distinct, configurations)
        return self.choose(distinct, candidates, scores)

    def choose(
        self, instances: Sequence[Instance], candidates: list[dict[str, float]], scores: Array
    ) -> dict[str, Any]:
        """Return what `prepare` does, from scores `[I, C]`."""
        mean = scores.mean(axis=0)
        return {
            "overall": candidates[int(mean.argmin())],
            "candidates": candidates,
            "scores": mean.tolist(),
        }

    def values(self, instance: Instance, prepared: Prepared) -> Mapping[str, float]:
        """Return the values that an instance starts with."""
        chosen: Mapping[str, float] = prepared["overall"]
        return chosen

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`."""

        def start(lanes: Lanes) -> Choose:
            initial = lanes.initial
            for slot, instance in enumerate(lanes.instances):
                for name, value in self.values(instance, prepared).items():
                    initial[slot, lanes.space.index(name)] = value
            return find_rule(self.schedule)(lanes, initial)

        return run_once(workload, instances, start)


def distinct_canonical(
    opponent: Opponent, workload: Workload, instances: Sequence[Instance]
) -> list[Instance]:
    """Return canonical instances, each once: the user's starts no longer tell them apart.

    Raises:
        ConfigurationError: There are no instances.
    """
    if not len(instances):
        raise ConfigurationError(
            f"{opponent.name!r} is tuned on meta-training instances: give at least one"
        )
    return list(dict.fromkeys(opponent.canonical(i, workload) for i in instances))


@dataclass(frozen=True, kw_only=True)
class TunedConfiguration(Tuned):
    """One configuration of all hyperparameters, by random search from the family's defaults."""

    def candidates(self, workload: Workload) -> list[dict[str, float]]:
        """List the defaults, then what was drawn; see `Tuned.candidates`."""
        drawn = draw_values(
            workload.space, self.hyperparameters, NUM_DRAWN, stream(_SEED, "tuned knobs")
        )
        return [{}, *drawn]


@dataclass(frozen=True, kw_only=True)
class TunedStart(Tuned):
    """One initial value of the leading hyperparameter, from a grid; see `start_grid`."""

    def candidates(self, workload: Workload) -> list[dict[str, float]]:
        """List the grid; see `Tuned.candidates`."""
        return [{workload.leading.name: start} for start in start_grid(workload.leading)]

    def lesson(self) -> dict[str, Any]:
        """See `Opponent.lesson`: whoever follows the rule learns the same, by label or not."""
        return {
            "class": TunedStart.__qualname__,
            "schedule": self.schedule,
            "hyperparameters": list(self.hyperparameters),
        }

    def choose(
        self, instances: Sequence[Instance], candidates: list[dict[str, float]], scores: Array
    ) -> dict[str, Any]:
        """Choose for each value of each label, too, as `per_label`; see `Tuned.choose`."""
        per_label: dict[str, dict[str, dict[str, float]]] = {}
        for label in instances[0].task.labels:
            values = np.array([instance.task.labels[label] for instance in instances])
            per_label[label] = {
                str(value): candidates[int(scores[values == value].mean(axis=0).argmin())]
                for value in np.unique(values)
            }
        return super().choose(instances, candidates, scores) | {"per_label": per_label}


@dataclass(frozen=True, kw_only=True)
class TunedPerLabel(TunedStart):
    """One initial value of the leading hyperparameter for each value of a label.

    One that the meta-training instances lack gets the overall start.

    Args:
        label: A label of the family's tasks.
    """

    label: str

    @property
    def needs(self) -> frozenset[str]:
        """The rule's needs, and the label."""
        return super().needs | {label_need(self.label)}

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {"label": self.label}

    def values(self, instance: Instance, prepared: Prepared) -> Mapping[str, float]:
        """Return those of the instance's label; see `Tuned.values`."""
        value = instance.task.labels[self.label]
        found: Mapping[str, float] | None = prepared["per_label"][self.label].get(value)
        return super().values(instance, prepared) if found is None else found


def fixed_tuned(name: str, setup: Setup) -> Opponent:
    """One configuration of all hyperparameters, kept."""
    return TunedConfiguration(name=name, schedule="constant", hyperparameters=setup.hyperparameters)


def tuned(name: str, setup: Setup) -> Opponent:
    """The rule before `_tuned`, from the start that was best on the meta-training tasks."""
    return TunedStart(
        name=name, schedule=name.removesuffix("_tuned"), hyperparameters=setup.hyperparameters
    )


def per_optimizer(name: str, setup: Setup) -> Opponent:
    """The same with a start for each optimiser."""
    schedule = name.removesuffix("_per_optimizer")
    return TunedPerLabel(
        name=name, schedule=schedule, label="optimizer", hyperparameters=setup.hyperparameters
    )
