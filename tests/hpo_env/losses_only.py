"""Quadratics whose hosts know losses alone and cannot roll back, as estimators and boosters."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.seeding import stream
from hpo_env.tasks.base import Engine, TaskFamily, Trainer
from hpo_env.tasks.quadratic import (
    NUM_PARAMETERS,
    UPDATES_PER_DECISION,
    QuadraticFamily,
    QuadraticTask,
    QuadraticTrainer,
)
from hpo_env.telemetry import Telemetry

UNKNOWN = ("gradient_norm_first", "gradient_norm_last", "update_ratio", "update_agreement")


class LossesOnlyTrainer(QuadraticTrainer):
    def _run_interval(self, values: NDArray[np.float64]) -> Telemetry:
        telemetry = super()._run_interval(values)
        for name in UNKNOWN:
            getattr(telemetry, name)[:] = np.nan
        return telemetry


class LossesOnlyFamily(QuadraticFamily):
    name = "losses_only"
    can_roll_back = False
    capabilities = frozenset()
    twin = "tests.hpo_env.losses_only:train"

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        return LossesOnlyTrainer(num_lanes)


class WithoutTwinFamily(LossesOnlyFamily):
    name = "without_twin"
    twin: ClassVar[str | None] = None  # type: ignore[assignment]


def train(family: TaskFamily, task: QuadraticTask, seed: int, controller: Controller) -> Run[Any]:
    """Train in a loop of NumPy that writes its rate through a function."""
    h, s = task.curvature, task.noise
    noise = stream(seed, "noise")
    weights = stream(seed, "init").choice([-1.0, 1.0], NUM_PARAMETERS)
    values = {"learning_rate": task.initial[0]}

    def write(rate: float) -> None:
        values["learning_rate"] = rate

    run = controller.drive(
        {"learning_rate": write},
        initial=dict(values),
        total_steps=task.num_decisions * UPDATES_PER_DECISION,
        num_decisions=task.num_decisions,
        validate=lambda: 0.5 * h * np.mean(weights**2),
    )
    for _ in range(task.num_decisions):
        for optimum in noise.standard_normal((UPDATES_PER_DECISION, NUM_PARAMETERS)):
            with np.errstate(over="ignore", invalid="ignore"):
                residual = weights - s * optimum
                weights = weights - values["learning_rate"] * h * residual
                run.step(0.5 * h * np.mean(residual**2))
    return run
