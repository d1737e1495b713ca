"""One lane of a trainer in the place of a user's loop, for families that name no twin.

It shows that deciding, guard and schedule are the same in a run as in the environment; that a
user's loop measures what the trainer measures, only a twin of the family's own shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpo_env.control.host import Host
from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.starts import Problem
from hpo_env.tasks.base import Engine, Task, TaskFamily
from hpo_env.telemetry import Telemetry

_LANE = np.array([0])


class TrainerHost(Host):
    """A run's host that trains one lane; an update of the run is a whole interval of the trainer.

    Args:
        family: Whose trainer it is.
        task: What is trained.
        seed: The episode seed.
        engine: The trainer's.
    """

    def __init__(
        self, family: TaskFamily, task: Task, seed: int, *, engine: Engine = "auto"
    ) -> None:
        self._family = family
        self._trainer = family.make_trainer(1, engine=engine, device="cpu")
        self._telemetry = self._trainer.reset(_LANE, [task], [seed])
        self._values = np.array([task.initial])
        self._initial = dict(zip(family.space.names, task.initial, strict=True))
        self._problem = family.problem(task)

    @property
    def initial(self) -> Mapping[str, float]:
        """See `Host.initial`."""
        return self._initial

    def problem(self) -> Problem:
        """See `Host.problem`."""
        return self._problem

    def start_at(self, values: Mapping[str, float]) -> None:
        """See `Host.start_at`."""
        self._initial |= values

    def note_update(self, loss: Any) -> None:
        """Train for one interval."""
        self._telemetry, _ = self._trainer.advance(self._values)

    def validate(self) -> Any:
        """Return what the trainer measured last, unless a user's run cannot know it."""
        if self._family.is_loss_hidden:
            return None
        return self._telemetry.validation_loss[0]

    def measure(self, validation_loss: float) -> Telemetry:
        """Hand over what the trainer measured."""
        telemetry = self._telemetry.copy()
        telemetry.validation_loss[:] = validation_loss
        return telemetry

    def features(self) -> Mapping[str, float]:
        """Hand over the family's own entries of the observation."""
        measured = self._trainer.features(_LANE)[0].tolist()
        return dict(zip(self._family.features, measured, strict=True))

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Set the values of the interval that comes."""
        for name, value in values.items():
            self._values[0, self._family.space.index(name)] = value
        return dict(values)

    def close(self) -> None:
        """Give the values back that the task began with."""
        self.write(self._initial)

    def roll_back(self) -> bool:
        """Roll the lane back where hosts of the family can."""
        if self._family.can_roll_back:
            self._trainer.roll_back(_LANE)
        return self._family.can_roll_back

    def state_dict(self) -> dict[str, Any]:
        """Return the trainer's state."""
        return {"trainer": self._trainer.snapshot(_LANE)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self._trainer.restore(_LANE, state["trainer"])


def train(family: TaskFamily, task: Task, seed: int, controller: Controller) -> Run[TrainerHost]:
    """Train one task under a controller; see `TaskFamily.twin`."""
    run = controller.steer(
        TrainerHost(family, task, seed),
        total_steps=task.num_decisions,
        num_decisions=task.num_decisions,
    )
    for _ in range(task.num_decisions):
        run.step()
    run.close()
    return run
