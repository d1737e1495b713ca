"""What the callbacks of LightGBM and XGBoost share: shrinkage, one boosting round at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hpo_env.control.run import Run
from hpo_env.controller import Controller


class BoostingRun:
    """Steers the shrinkage of a boosting that runs.

    Args:
        controller: What decides.
        **options: Further arguments of `Controller.drive`.
    """

    def __init__(self, controller: Controller, **options: Any) -> None:
        self.run: Run | None = None
        self._controller = controller
        self._options = options
        self._validation_loss = math.nan

    def begin(self, write: Callable[[float], float], *, initial: float, total_steps: int) -> None:
        """Start, before the first round."""
        self.run = self._controller.drive(
            {"learning_rate": write},
            initial={"learning_rate": initial},
            total_steps=total_steps,
            validate=self._last_validation_loss,
            **self._options,
        )

    def finish_round(self, train_loss: float | None, validation_loss: float | None) -> None:
        """Count a round."""
        self._validation_loss = math.nan if validation_loss is None else validation_loss
        if self.run is not None:
            self.run.step(train_loss)

    def _last_validation_loss(self) -> float | None:
        return None if math.isnan(self._validation_loss) else self._validation_loss
