"""Configurations that are compared on the meta-training tasks: initial values, and a rule.

Axes: `N` lanes, `H` hyperparameters of the family, `I` instances, `C` configurations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import HyperparameterSpace

from .base import Instance
from .driving import Choose, run_once
from .lanes import Lanes, Workload, with_initial
from .rules import find_rule
from .sampler import RandomSampler
from .search_space import SearchSpace

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Initial values of some hyperparameters, and the rule that the leading one follows.

    Args:
        schedule: Name of the rule, in `rules.RULES`.
        values: By hyperparameter; the instance's own hold for the rest.
    """

    schedule: str
    values: Mapping[str, float]

    def initial(self, space: HyperparameterSpace, own: Array) -> Array:
        """Return initial values `[N, H]`, given the instances' own `[N, H]`."""
        changed = own.copy()
        for name, value in self.values.items():
            changed[:, space.index(name)] = value
        return changed

    def start(self, lanes: Lanes) -> Choose:
        """Start the rule on lanes, all under this configuration."""
        return find_rule(self.schedule)(lanes, self.initial(lanes.space, lanes.initial))

    def to_json(self) -> dict[str, Any]:
        """Describe the configuration in plain data; inverse of `from_json`."""
        return {"schedule": self.schedule, "values": dict(self.values)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Configuration:
        """Make the configuration that `to_json` described."""
        return cls(schedule=data["schedule"], values=dict(data["values"]))


def draw_values(
    space: HyperparameterSpace, hyperparameters: Sequence[str], count: int, rng: np.random.Generator
) -> list[dict[str, float]]:
    """Draw values of all hyperparameters, `count` times, as random search does."""
    search = SearchSpace(space, hyperparameters)
    points = RandomSampler(rng, len(search)).ask(count)
    rows = search.decode(points, space.defaults)
    return [{name: float(row[space.index(name)]) for name in hyperparameters} for row in rows]


def at_defaults(instance: Instance, workload: Workload, hyperparameters: Iterable[str]) -> Instance:
    """Return the instance with the leading and the given hyperparameters at the defaults."""
    space, defaults = workload.space, workload.defaults(instance.task)
    columns = [workload.column, *(space.index(name) for name in hyperparameters)]
    values = np.array(instance.task.initial)
    values[columns] = defaults[columns]
    return with_initial(instance, values)


def log_losses(
    workload: Workload, instances: Sequence[Instance], configurations: Sequence[Configuration]
) -> Array:
    """Train every instance once under every configuration.

    Returns:
        Log validation losses at the end `[I, C]`, a divergence counted as in the reward. Test rows
        play no part.
    """
    scores = np.empty((len(instances), len(configurations)))
    for schedule in dict.fromkeys(c.schedule for c in configurations):
        rule = find_rule(schedule)
        chosen = [c for c, conf in enumerate(configurations) if conf.schedule == schedule]
        pairs = [(i, c) for i in range(len(instances)) for c in chosen]
        started = [configured(instances[i], configurations[c], workload.space) for i, c in pairs]
        outcomes = run_once(workload, started, lambda lanes: rule(lanes, lanes.initial))  # noqa: B023
        for (i, c), outcome in zip(pairs, outcomes, strict=True):
            scores[i, c] = outcome.log_last_loss(workload.loss_floor)
    return scores


def configured(
    instance: Instance, configuration: Configuration, space: HyperparameterSpace
) -> Instance:
    """Return the instance started at a configuration's values."""
    own = np.array([instance.task.initial])
    return with_initial(instance, configuration.initial(space, own)[0])
