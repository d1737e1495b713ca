"""What the callbacks of LightGBM and XGBoost share: shrinkage, one boosting round at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.control.writers import FunctionWriter
from hpo_env.controller import Controller


class SteeredBoosting:
    """Steers the shrinkage of a boosting that runs.

    Args:
        controller: What decides.
        shrinkage: What the policy calls the shrinkage.
        **options: Further arguments of `Controller.steer`.
    """

    def __init__(
        self, controller: Controller, *, shrinkage: str = "learning_rate", **options: Any
    ) -> None:
        controller.policy.space.index(shrinkage)
        self.run: Run[PlainHost] | None = None
        self._controller = controller
        self._shrinkage = shrinkage
        self._options = options
        self._validation_loss: float | None = None

    def begin(self, write: Callable[[float], float], *, initial: float, total_steps: int) -> None:
        """Start, before the first round."""
        writer = FunctionWriter(function=write, initial=initial)
        host = PlainHost({self._shrinkage: writer}, lambda: self._validation_loss)
        self.run = self._controller.steer(host, total_steps=total_steps, **self._options)

    def finish_round(self, train_loss: float | None, validation_loss: float | None) -> None:
        """Count a round."""
        self._validation_loss = validation_loss
        if self.run is not None:
            self.run.step(train_loss)
