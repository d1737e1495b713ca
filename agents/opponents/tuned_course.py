"""One run along a course that was chosen once for all, on the meta-training tasks.

Where most of what can be gained is a good setting, this is what a policy has to beat: a setting
that moves while the run goes on, the same way in every run, and looks at nothing.

Axes: `N` lanes, `H` hyperparameters of the family, `C` candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.seeding import stream
from hpo_env.telemetry import Telemetry

from .base import Instance, Opponent, Outcome, Prepared, Setup
from .configurations import at_defaults, draw_values
from .driving import Choose, run_once
from .lanes import Lanes, Workload
from .tuned import NUM_DRAWN, distinct_canonical

Array = NDArray[np.float64]

NUM_COURSES = 24
"""Courses that are compared around the best setting."""

_MOST_STEPS = 3.0  # from one end of a course to the other, in largest moves of a decision
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class TunedCourse(Opponent):
    """A straight line from one setting to another, on the axes of the hyperparameters.

    First the best of some settings is found, then the best of some lines whose middle it is; the
    setting itself is among them.

    Args:
        hyperparameters: Those that opponents may choose.
    """

    hyperparameters: tuple[str, ...]

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {"hyperparameters": list(self.hyperparameters)}

    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        """Start what may be chosen at the family's defaults."""
        return at_defaults(instance, workload, self.hyperparameters)

    def prepare(self, workload: Workload, instances: Sequence[Instance]) -> Prepared:
        """Train every meta-training instance under every candidate, and keep the best.

        Returns:
            `first` and `last`, the ends of the course by hyperparameter; `scores`, the mean log
            loss of every candidate, settings before courses.

        Raises:
            ConfigurationError: There are no instances.
        """
        distinct = distinct_canonical(self, workload, instances)
        rng = stream(_SEED, "tuned course")
        drawn = draw_values(workload.space, self.hyperparameters, NUM_DRAWN, rng)
        settings = [(values, values) for values in [{}, *drawn]]
        of_settings = [self._score(workload, distinct, *ends) for ends in settings]
        middle = {
            name: float(workload.space.defaults[workload.space.index(name)])
            for name in self.hyperparameters
        } | settings[int(np.argmin(of_settings))][0]
        courses = [self._around(workload.space, middle, rng) for _ in range(NUM_COURSES)]
        of_courses = [self._score(workload, distinct, *ends) for ends in courses]
        scores = [*of_settings, *of_courses]
        first, last = [*settings, *courses][int(np.argmin(scores))]
        return {"first": dict(first), "last": dict(last), "scores": scores}

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`."""
        return run_once(
            workload, instances, lambda lanes: _line(lanes, prepared["first"], prepared["last"])
        )

    def _score(
        self,
        workload: Workload,
        instances: Sequence[Instance],
        first: Mapping[str, float],
        last: Mapping[str, float],
    ) -> float:
        outcomes = run_once(workload, instances, lambda lanes: _line(lanes, first, last))
        return float(np.mean([one.log_last_loss(workload.loss_floor) for one in outcomes]))

    def _around(
        self, space: HyperparameterSpace, middle: Mapping[str, float], rng: np.random.Generator
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Draw the two ends of a line."""
        own = space.subset(self.hyperparameters)
        base = np.array([[middle[name] for name in own.names]])
        away = rng.uniform(-0.5, 0.5, base.shape) * _MOST_STEPS * own.steps
        ends = (own.values(base, side * away)[0].tolist() for side in (-1.0, 1.0))
        first, last = (dict(zip(own.names, end, strict=True)) for end in ends)
        return first, last


def _line(lanes: Lanes, first: Mapping[str, float], last: Mapping[str, float]) -> Choose:
    """Go along the line in equal steps; what is not named keeps the instance's own value."""
    start, end = lanes.initial, lanes.initial
    for values, ends in ((first, start), (last, end)):
        for name, value in values.items():
            ends[:, lanes.space.index(name)] = value
    distance = lanes.space.corrections(start, end)

    def choose(lanes: Lanes, telemetry: Telemetry | None) -> Array:
        share = np.minimum(lanes.interval / max(lanes.num_intervals - 1, 1), 1.0)
        values = lanes.space.values(start, share[:, None] * distance)
        return np.where(distance == 0.0, start, values)

    return choose


def course_tuned(name: str, setup: Setup) -> Opponent:
    """The best straight course of all hyperparameters on the meta-training tasks."""
    return TunedCourse(name=name, hyperparameters=setup.hyperparameters)
