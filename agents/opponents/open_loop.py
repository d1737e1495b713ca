"""The controller's mean course, replayed without looking: is watching the run worth anything?

Axes: `N` lanes, `H` hyperparameters of the family, `T` decision intervals, `G` points in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.schedules import interval_factors
from hpo_env.tasks.base import Task
from hpo_env.vector_env import HPOControlVectorEnv

from .ablations import PolicyOpponent
from .base import Instance, Opponent, Outcome, Prepared, Setup
from .in_environment import Act, InEnvironment
from .lanes import Workload

Array = NDArray[np.float64]

NUM_POINTS = 64
"""Points in time at which the mean is kept: no fewer than the longest runs of meta-training have
intervals."""


@dataclass(frozen=True, kw_only=True)
class OpenLoop(Opponent):
    """Replays the mean corrections of the policy on its base schedule.

    The mean is taken over meta-training instances at equal shares of the run. Corrections are read
    off the effective values: what the ends of a range cut off does not count, and the guard's cuts
    after a failure do. The replay makes the moves that lead along the mean, and looks at nothing.
    It has the controller's guard, which rolls failed intervals back and cuts the rate, so that what
    it lacks is the controller's eyes alone.

    Args:
        policy: The controller's.
    """

    policy: Policy

    def prepare(self, workload: Workload, instances: Sequence[Instance]) -> Prepared:
        """Run the policy on the meta-training instances.

        Returns:
            `corrections`, by hyperparameter a mean course of `NUM_POINTS` numbers.

        Raises:
            ConfigurationError: There are no instances.
        """
        if not len(instances):
            raise ConfigurationError(
                f"{self.name!r} replays what the policy does on meta-training instances: "
                "give at least one"
            )
        policy = PolicyOpponent(name=self.name, policy=self.policy)
        outcomes = policy.run(workload, instances, {})
        courses = np.array(
            [
                _resampled(self._corrections(workload.space, instance, outcome), NUM_POINTS)
                for instance, outcome in zip(instances, outcomes, strict=True)
            ]
        )  # [instances, G, H]
        mean = courses.mean(axis=0)
        space = workload.space
        names = self.policy.space.names
        return {"corrections": {name: mean[:, space.index(name)].tolist() for name in names}}

    def _corrections(
        self, space: HyperparameterSpace, instance: Instance, outcome: Outcome
    ) -> Array:
        """Return the corrections `[T, H]` of a run, up to its end or its divergence."""
        num_trained = int(outcome.trial_intervals[0])
        values = np.stack([outcome.hyperparameters[name][:num_trained] for name in space.names], 1)
        total = np.full(num_trained, instance.task.num_decisions)
        factors = interval_factors(self.policy.base_schedule, np.arange(num_trained), total)
        initial = np.tile(instance.task.initial, (num_trained, 1))
        return space.corrections(space.base(initial, factors), values)

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`."""
        columns = [prepared["corrections"][name] for name in self.policy.space.names]
        replay = _Replay(name=self.name, policy=self.policy, course=np.array(columns).T)
        return replay.run(workload, instances, {})


@dataclass(frozen=True, kw_only=True, eq=False)
class _Replay(InEnvironment):
    """Makes the moves that lead along a course of corrections, whatever happens.

    Args:
        course: At equal shares of the run, by the policy's hyperparameters `[G, H]`.
    """

    course: Array

    def start(self, env: HPOControlVectorEnv, instances: Sequence[Instance]) -> Act:
        """Stretch the course to each task's horizon."""
        lanes = [iter(self._moves(env.controlled, instance.task)) for instance in instances]
        still = np.zeros(len(env.controlled))  # what a lane that has ended does
        return lambda observations: np.array([next(moves, still) for moves in lanes])

    def _moves(self, space: HyperparameterSpace, task: Task) -> list[Array]:
        """Return a move `[H]` for each interval; what one cannot reach is left to the next."""
        moves, reached = [], np.zeros(len(space))
        for target in _resampled(self.course, task.num_decisions):
            moves.append(np.clip((target - reached) / space.steps, -1.0, 1.0))
            reached = reached + moves[-1] * space.steps
        return moves


def _resampled(course: Array, num_points: int) -> Array:
    """Interpolate a course `[T, H]` to another number of intervals, both taken in their middles."""
    old = (np.arange(len(course)) + 0.5) / len(course)
    new = (np.arange(num_points) + 0.5) / num_points
    return np.stack([np.interp(new, old, column) for column in course.T], axis=1)


def open_loop(name: str, setup: Setup) -> Opponent:
    """The mean course of the setup's policy."""
    return OpenLoop(name=name, policy=setup.policy)
