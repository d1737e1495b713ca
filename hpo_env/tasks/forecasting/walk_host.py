"""A walk through one series as the host of a controlled run.

A step of the run takes in what comes between two decisions. The host knows of the series what a
forecaster knows who stands in the middle of it. Many walks at once go through `steering`, which is
the same over lanes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpo_env.control.host import Host
from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.starts import LearnedStart, StartCase
from hpo_env.tasks.base import TaskFamily
from hpo_env.tasks.forecasting.layout import FEATURES, HYPERPARAMETERS
from hpo_env.tasks.forecasting.starts import start_of
from hpo_env.tasks.forecasting.steering import kernel_or_twin
from hpo_env.tasks.forecasting.task import ForecastingTask
from hpo_env.tasks.forecasting.trainer import Walk, Walks, walk_of_task
from hpo_env.telemetry import Telemetry

_LANE = np.array([0])


class WalkHost(Host):
    """One walk.

    Args:
        walk: The series; what comes after its origin is not looked at.
        initial: Values at the start, by name.
    """

    def __init__(self, walk: Walk, initial: Mapping[str, float]) -> None:
        self._walks = Walks(1, kernel_or_twin())
        self._initial = dict(initial)
        values = np.array([[self._initial[name] for name in HYPERPARAMETERS]])
        self._walks.start(_LANE, [walk], [1], values)

    @property
    def initial(self) -> Mapping[str, float]:
        """See `Host.initial`."""
        return self._initial

    def learned_start(self) -> LearnedStart:
        """Return the constants of the season, for runs with `start="learned"`.

        The warm start is over by then: it was taken in under the host's own values.
        """
        constants = start_of(int(self._walks.fact("period")[0]))
        values = dict(zip(HYPERPARAMETERS, constants, strict=True))
        return LearnedStart(cases=(StartCase(values=values),), is_default=False)

    def start_at(self, values: Mapping[str, float]) -> None:
        """See `Host.start_at`."""
        self._initial |= values

    def note_update(self, loss: Any) -> None:
        """Take in the observations up to the next decision, if there are more."""
        walks = self._walks
        has_more = walks.age < walks.fact("length")
        walks.take_in(_LANE, np.where(has_more, walks.fact("stride"), 0))

    def measure(self, validation_loss: float) -> Telemetry:
        """Measure the errors of one step that have come out."""
        telemetry = Telemetry.missing(1)
        telemetry.train_loss[:] = self._walks.realised(_LANE)
        return telemetry

    def features(self) -> Mapping[str, float]:
        """Measure what has been seen of the series."""
        return dict(zip(FEATURES, self._walks.features()[0].tolist(), strict=True))

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Set the values under which the next observations are taken in."""
        for name, value in values.items():
            self._walks.values[0, HYPERPARAMETERS.index(name)] = value
        return dict(values)


def walk_through(
    family: TaskFamily, task: ForecastingTask, seed: int, controller: Controller
) -> Run[WalkHost]:
    """Walk through the series of a task; see `TaskFamily.twin`. Nothing in it is random."""
    host = WalkHost(walk_of_task(task), dict(zip(family.space.names, task.initial, strict=True)))
    run = controller.steer(host, total_steps=task.num_decisions, num_decisions=task.num_decisions)
    for _ in range(task.num_decisions):
        run.step()
    run.close()
    return run
