"""Where runs begin by how their first interval looks: attention over tasks, or prototypes of them.

Meta-training tasks are trained under the policy from the user's values and from a dozen others; of
each is kept how its first interval looked and what each start gained (`StoredTasks`). A run then
makes one interval from the user's values, which is lost, and begins anew where tasks that looked
like it gained most. `matched_start` weighs all tasks as Matching networks do, `prototype_start` the
means of a few groups of them.

Axes: `I` instances, `S` starts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.control.decider import movable
from hpo_env.control.looks import SPREADS
from hpo_env.control.run_memory import drawn
from hpo_env.control.stored_tasks import StoredTasks
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.seeding import stream

from .ablations import PolicyOpponent
from .base import Instance, Opponent, Outcome, Prepared, Setup
from .lanes import Workload, with_initial

NUM_STARTS = 12
_NUM_PROTOTYPES = 8
_LARGEST_GAIN = 1.0  # of a log loss; what diverges counts no more than that
_SEED = 7


@dataclass(frozen=True, kw_only=True)
class MatchedStart(PolicyOpponent):
    """The policy, which begins anew after one interval.

    Args:
        num_prototypes: How many stand for the stored tasks; None: each for itself.
    """

    num_prototypes: int | None = None

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {"num_prototypes": self.num_prototypes}

    def lesson(self) -> dict[str, Any]:
        """What is stored is the same, whoever stands for it."""
        return {"class": type(self).__qualname__, "starts": NUM_STARTS}

    def prepare(self, workload: Workload, instances: Sequence[Instance]) -> Prepared:
        """Return the table, as `StoredTasks.to_json` describes it."""
        return {"stored": self.stored(workload, instances).to_json()}

    def stored(self, workload: Workload, instances: Sequence[Instance]) -> StoredTasks:
        """Train every instance from its own values and from each start.

        Raises:
            ConfigurationError: There are no instances.
        """
        if not len(instances):
            raise ConfigurationError(f"{self.name!r} stores meta-training instances: give some")
        space = self.policy.space
        usual = dict(zip(space.names, space.defaults.tolist(), strict=True))
        rng = stream(_SEED, "starts")
        starts = [drawn(usual, space, rng) for _ in range(NUM_STARTS)]
        begun = [
            run
            for own in instances
            for run in (own, *(begun_at(own, workload, space, s) for s in starts))
        ]
        outcomes = super().run(workload, begun, {})
        floor = workload.loss_floor
        reached = np.array([o.log_last_loss(floor) for o in outcomes]).reshape(len(instances), -1)
        gains = np.clip(reached[:, 1:] - reached[:, :1], -_LARGEST_GAIN, _LARGEST_GAIN)
        looks = [
            {name: round(value, 4) for name, value in look.items()}
            for look in self.looks(workload, instances)
        ]
        return StoredTasks(starts=starts, looks=looks, gains=gains.round(4))

    def looks(self, workload: Workload, instances: Sequence[Instance]) -> list[dict[str, float]]:
        """Train one interval of each instance, and say how it looked."""
        columns = {n: self.policy.fields.index(n) for n in SPREADS if n in self.policy.fields}
        looks: list[dict[str, float]] = []
        for first in range(0, len(instances), workload.max_lanes):
            batch = instances[first : first + workload.max_lanes]
            env = self.environment(workload, batch)
            act = self.start(env, batch)
            observations, info = env.reset(seed=[instance.lane_seed for instance in batch])
            losses = np.asarray(info["validation_loss"], dtype=np.float64)
            observations = env.step(act(observations))[0]
            env.close()
            looks += [_look(*of, columns) for of in zip(losses, observations, strict=True)]
        return looks

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`; the interval that was looked at is charged."""
        table = StoredTasks.from_json(prepared["stored"])
        if self.num_prototypes is not None:
            count = min(self.num_prototypes, len(table.looks))
            table = table.condensed(count, stream(_SEED, "prototypes"))
        space = self.policy.space
        begun = [
            begun_at(instance, workload, space, table.ranked(look)[0])
            for instance, look in zip(instances, self.looks(workload, instances), strict=True)
        ]
        outcomes = super().run(workload, begun, {})
        lost = [workload.interval_updates(instance.task) for instance in instances]
        return [
            replace(o, spent_updates=o.spent_updates + n, num_updates=o.num_updates + n)
            for o, n in zip(outcomes, lost, strict=True)
        ]


def begun_at(
    instance: Instance,
    workload: Workload,
    space: HyperparameterSpace,
    start: Mapping[str, float],
) -> Instance:
    """Return the instance as it begins at a start, as far as its values can be moved."""
    names, values = workload.space.names, np.array(instance.task.initial)
    own = movable(space, dict(zip(names, instance.task.initial, strict=True)))
    for name in own:
        if name in start:
            values[names.index(name)] = start[name]
    return with_initial(instance, values)


def _look(
    loss: float, observation: NDArray[np.float32], columns: Mapping[str, int]
) -> dict[str, float]:
    look = {name: float(observation[column]) for name, column in columns.items()}
    return {"log_loss": math.log(loss), **look} if 0.0 < loss < math.inf else look


def matched_start(name: str, setup: Setup) -> Opponent:
    """Attention over the stored tasks."""
    return MatchedStart(name=name, policy=setup.policy, max_runs=2)


def prototype_start(name: str, setup: Setup) -> Opponent:
    """Prototypes of the stored tasks."""
    return MatchedStart(name=name, policy=setup.policy, max_runs=2, num_prototypes=_NUM_PROTOTYPES)
