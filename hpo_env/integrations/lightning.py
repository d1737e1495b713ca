"""Lightning: a callback that steers `Trainer.fit`.

    trainer = Trainer(callbacks=[HPOControlCallback(controller, validate=validation_loss)])

Schedulers that `configure_optimizers` returns are the base schedule. The run is part of Lightning's
checkpoints, and goes on with `trainer.fit(..., ckpt_path=...)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from hpo_env.control.live_schedule import unwrapped
from hpo_env.control.run import Run
from hpo_env.control.torch_host import TorchHost
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.extras import require

_lightning = require("lightning.pytorch", extra="lightning")


class HPOControlCallback(_lightning.Callback):  # type: ignore[misc,name-defined]
    """Steers the optimisers of a Lightning module.

    Args:
        controller: What decides.
        validate: Takes the module and returns the validation loss; called in eval mode without
            gradients, at the start and after every decision interval. None: the training loss.
        total_steps: Optimiser steps in the run; by default what the trainer estimates.
        **options: Further arguments of `Controller.attach`.

    Attributes:
        run: The run, once training has begun.
    """

    def __init__(
        self,
        controller: Controller,
        *,
        validate: Callable[[Any], Any] | None = None,
        total_steps: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.run: Run[TorchHost] | None = None
        self._controller = controller
        self._validate = validate
        self._total_steps = total_steps
        self._options = options
        self._state: Mapping[str, Any] | None = None
        self._num_steps = 0
        self._loss: Any = None

    @property
    def state_key(self) -> str:
        """The key of the run in Lightning's checkpoints."""
        return "HPOControl"

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Attach, once optimisers and checkpoint are loaded."""
        total_steps = self._total_steps or trainer.estimated_stepping_batches
        if math.isinf(total_steps):
            raise ConfigurationError(
                "the trainer has no end: give it max_epochs or max_steps, or give the callback "
                "total_steps"
            )
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        options = ({"base_schedule": schedulers} if schedulers else {}) | self._options
        self.run = self._controller.attach(
            trainer.optimizers,
            total_steps=int(total_steps),
            model=pl_module,
            validate=None if self._validate is None else lambda: self._validated(pl_module),
            state=self._state,
            **options,
        )
        if total_steps > self.run.plan.total_steps:  # resumed with more epochs than before
            self.run.extend(int(total_steps))
        self._state = None
        self._num_steps = trainer.global_step

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Measure gradients while they are there and not yet clipped."""
        if self.run is not None:
            host = self.run.host
            host.weights.before_update(host.part_of(unwrapped(optimizer)))

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a step where the optimiser made one; accumulated batches share it."""
        if self.run is None:
            return
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is not None:  # Lightning has divided it by the number of accumulated batches
            self._loss = loss if self._loss is None else self._loss + loss
        if trainer.global_step == self._num_steps:
            return
        self._num_steps = trainer.global_step
        num_decisions = len(self.run.decisions)
        self.run.step(self._loss)
        self._loss = None
        if len(self.run.decisions) > num_decisions:
            values = {f"hpo_control/{name}": value for name, value in self.run.values.items()}
            for logger in trainer.loggers:
                logger.log_metrics(values, step=trainer.global_step)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Let go of the optimisers."""
        if self.run is not None:
            self.run.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the run's state, for Lightning's checkpoint."""
        return {} if self.run is None else {"run": self.run.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until training starts."""
        self._state = state_dict.get("run")

    def _validated(self, pl_module: Any) -> Any:
        assert self._validate is not None
        pl_module.eval()
        with torch.no_grad():
            return self._validate(pl_module)
