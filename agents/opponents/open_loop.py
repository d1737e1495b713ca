"""The controller's mean course, replayed without looking: is watching the run worth anything?

Axes: `N` lanes, `H` hyperparameters of the family, `T` decision intervals, `G` points in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.opponents.ablations import Controller
from agents.opponents.base import Instance, Opponent, Outcome, Prepared, Setup
from agents.opponents.driving import Choose, run_once
from agents.opponents.lanes import Bench, Lanes
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.schedules import interval_factors

Array = NDArray[np.float64]

NUM_POINTS = 64
"""Points in time at which the mean is kept: no fewer than the longest runs of meta-training have
intervals."""


@dataclass(frozen=True, kw_only=True)
class OpenLoop(Opponent):
    """Replays the mean corrections of the policy on its base schedule.

    The mean is taken over meta-training instances at equal shares of the run. Corrections are read
    off the effective values: what the ends of a range cut off does not count, and the guard's cuts
    after a failure do. Nobody watches the replay, so no interval of it is taken back.

    Args:
        policy: The controller's.
    """

    policy: Policy

    def prepare(self, bench: Bench, instances: Sequence[Instance]) -> Prepared:
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
        policy = Controller(name=self.name, policy=self.policy)
        outcomes = policy.run(bench, instances, {})
        courses = np.array(
            [
                _resampled(self._corrections(bench.space, instance, outcome), NUM_POINTS)
                for instance, outcome in zip(instances, outcomes, strict=True)
            ]
        )  # [instances, G, H]
        mean = courses.mean(axis=0)
        space = bench.space
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

    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        """See `Opponent.run`."""
        columns = {bench.space.index(n): c for n, c in prepared["corrections"].items()}
        course = np.zeros((NUM_POINTS, len(bench.space)))
        for column, mean in columns.items():
            course[:, column] = mean

        def start(lanes: Lanes) -> Choose:
            initial, num_intervals = lanes.initial, lanes.num_intervals
            corrections = _resampled(course, num_intervals)
            total = np.full(len(lanes), num_intervals)
            name = self.policy.base_schedule

            def choose(lanes: Lanes, telemetry: object) -> Array:
                base = lanes.space.base(initial, interval_factors(name, lanes.interval, total))
                now = np.minimum(lanes.interval, num_intervals - 1)
                return lanes.space.values(base, corrections[now])

            return choose

        return run_once(bench, instances, start)


def _resampled(course: Array, num_points: int) -> Array:
    """Interpolate a course `[T, H]` to another number of intervals, both taken in their middles."""
    old = (np.arange(len(course)) + 0.5) / len(course)
    new = (np.arange(num_points) + 0.5) / num_points
    return np.stack([np.interp(new, old, column) for column in course.T], axis=1)


def open_loop(name: str, setup: Setup) -> Opponent:
    """The mean course of the setup's policy."""
    return OpenLoop(name=name, policy=setup.policy)
