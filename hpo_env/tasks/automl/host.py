"""The host of a boosting: what a callback of LightGBM or XGBoost knows, as the trainer measures it.

`HPOControl` of LightGBM and the callback of XGBoost tell it the losses of each round. `train` is
the twin of the trainer: the loop of somebody who updates a booster of LightGBM himself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.control.writers import Writer
from hpo_env.controller import Controller
from hpo_env.tasks.automl.lightgbm_boosters import LightGBMBoosters, constant_losses
from hpo_env.tasks.automl.problem import problem_of
from hpo_env.tasks.automl.progress import FEATURES, Facts, Progress
from hpo_env.tasks.automl.space import LIBRARY_NAMES, to_lightgbm
from hpo_env.tasks.automl.task import AutomlTask
from hpo_env.tasks.automl.trainer import facts_of
from hpo_env.tasks.base import TaskFamily
from hpo_env.telemetry import Telemetry

_LANE = np.array([0])


class BoostingHost(PlainHost):
    """One boosting.

    Args:
        writers: What can be written, by hyperparameter.
        facts: What is known before the first round.
        validation_loss: Of the best constant, log loss or root mean square error; None where
            nobody measured it.
        train_loss: The same on the rows that train.
    """

    def __init__(
        self,
        writers: Mapping[str, Writer],
        facts: Facts,
        *,
        validation_loss: float | None = None,
        train_loss: float | None = None,
    ) -> None:
        super().__init__(writers)
        self._progress = Progress(1)
        self._progress.begin(
            _LANE, [facts], np.array([_number(validation_loss)]), np.array([_number(train_loss)])
        )
        self._train = self._now = self._best = np.nan

    def note_round(self, train_loss: float | None, validation_loss: float | None) -> None:
        """Take in the losses of a round; call it before the run's `step`."""
        self._train, self._now = _number(train_loss), _number(validation_loss)
        if self._now < self._best or math.isnan(self._best):  # each round: np.fmin takes longer
            self._best = self._now

    def begin_interval(self, num_updates: int) -> None:
        """Forget the rounds of the interval before."""
        super().begin_interval(num_updates)
        self._train = self._now = self._best = np.nan

    def validate(self) -> Any:
        """Return the loss of the best round so far; None where there is no validation.

        At the end of an interval, before `measure`, what the rounds of it have come to counts.
        """
        before, now = float(self._progress.best[0]), self._best
        best = now if now < before or math.isnan(before) else before
        return None if math.isnan(best) else best

    def measure(self, validation_loss: float) -> Telemetry:
        """Take the interval's rounds in, and hand over their losses."""
        now, best, train = np.array([[self._now], [self._best], [self._train]])
        self._progress.take_in(now, best, train)
        telemetry = Telemetry.missing(1)
        telemetry.validation_loss[0] = validation_loss
        telemetry.train_loss[0] = self._train
        return telemetry

    def features(self) -> Mapping[str, float]:
        """Measure how the rounds went."""
        return dict(zip(FEATURES, self._progress.features()[0].tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return the losses so far, those of the running interval included."""
        arrays = {name: part.tolist() for name, part in self._progress.snapshot(_LANE).items()}
        return {"progress": arrays, "rounds": [self._train, self._now, self._best]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self._progress.restore(_LANE, state["progress"])
        self._train, self._now, self._best = state["rounds"]


class _LoopHost(BoostingHost):
    """A booster of LightGBM; what is written is written at once, as each reset draws a new bag."""

    def __init__(self, booster: Any, initial: Mapping[str, float], facts: Facts, **losses: Any):
        super().__init__({}, facts, **losses)
        self._booster, self._initial = booster, dict(initial)

    @property
    def initial(self) -> Mapping[str, float]:
        return self._initial

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        self._booster.reset_parameter(to_lightgbm(values))
        return dict(values)


def train(
    family: TaskFamily, task: AutomlTask, seed: int, controller: Controller
) -> Run[BoostingHost]:
    """Train the booster of a task in a loop of one's own; see `TaskFamily.twin`."""
    problem = problem_of(task)
    boosters = LightGBMBoosters(1)
    boosters.start(_LANE, [task], [seed])
    booster = boosters.booster(0)

    initial = dict(zip(family.space.names, task.initial, strict=True))
    booster.reset_parameter(to_lightgbm({name: initial[name] for name in LIBRARY_NAMES}))
    constant = constant_losses(problem)
    host: BoostingHost = _LoopHost(
        booster,
        {name: initial[name] for name in LIBRARY_NAMES},
        facts_of(problem, task.rounds_per_decision),
        validation_loss=constant[1],
        train_loss=constant[0] if task.knows_training_loss else None,
    )
    num_rounds = task.num_decisions * task.rounds_per_decision
    run = controller.steer(host, total_steps=num_rounds, num_decisions=task.num_decisions)
    for _ in range(num_rounds):
        booster.update()
        (training,), (validation, *_) = booster.eval_train(), booster.eval_valid()
        train_loss = training[2] if task.knows_training_loss else None
        host.note_round(train_loss, validation[2])
        run.step(train_loss)
    run.close()
    return run


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
