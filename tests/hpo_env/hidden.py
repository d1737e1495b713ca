"""Quadratics whose loss only training knows, with entries of the observation of their own."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.base import Engine, Trainer
from hpo_env.tasks.quadratic import QuadraticFamily, QuadraticTrainer
from hpo_env.telemetry import Telemetry


class HiddenTrainer(QuadraticTrainer):
    """Its loss is `factor` times the quadratic's, which nobody but the reward may notice."""

    factor: ClassVar[float] = 1.0

    def reset(self, *args: Any) -> Telemetry:
        telemetry = super().reset(*args)
        telemetry.validation_loss[:] *= self.factor
        return telemetry

    def features(self, lanes: NDArray[np.int64]) -> NDArray[np.float64]:
        weights = self.state["weights"][lanes]
        size = np.tanh(np.log(1e-9 + np.nan_to_num(np.abs(weights).mean(axis=1))))
        return np.stack([size, np.tanh(np.nan_to_num(weights[:, 0]))], axis=1)

    def _run_interval(self, values: NDArray[np.float64]) -> Telemetry:
        telemetry = super()._run_interval(values)
        telemetry.validation_loss[:] **= self.factor
        return telemetry


class HiddenFamily(QuadraticFamily):
    name = "hidden"
    is_loss_hidden = True
    twin: ClassVar[str | None] = None  # type: ignore[assignment]
    features: ClassVar = {"size": "Size of the weights", "first": "The first of them"}

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        return HiddenTrainer(num_lanes)
