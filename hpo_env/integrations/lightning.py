"""Lightning: a callback that steers `Trainer.fit`.

    trainer = Trainer(callbacks=[HPOControlCallback(controller, validate=validation_loss)])

Schedulers that `configure_optimizers` returns are the base schedule. The run is part of Lightning's
checkpoints, and goes on with `trainer.fit(..., ckpt_path=...)`. Under manual optimisation a batch
whose `training_step` returns nothing has the losses that `manual_backward` was called with, summed.
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
from hpo_env.integrations.callbacks import Callback, Decides, controller_of
from hpo_env.integrations.extras import require
from hpo_env.integrations.lengths import steps_to_come
from hpo_env.integrations.options import check_options

_lightning = require("lightning.pytorch", extra="lightning")


class HPOControlCallback(Callback, _lightning.Callback):  # type: ignore[misc,name-defined]
    """Steers the optimisers of a Lightning module, any number of times.

    After each training they have their own values back, and the next begins anew.

    Args:
        controller: What decides; a controller, or the name or the folder of a policy.
        validate: Takes the module and returns the validation loss; called in eval mode without
            gradients, at the start and after every decision interval. None: the training loss.
        total_steps: Optimiser steps in the whole training, with those made before it was resumed;
            by default what the trainer estimates.
        **options: Further arguments of `Controller.attach`.

    Attributes:
        run: The run of the last training, once it has begun.

    Raises:
        UnknownArgumentError: An option is none.
        ConfigurationError: While training: the trainer has no end.
    """

    def __init__(
        self,
        controller: Decides,
        *,
        validate: Callable[[Any], Any] | None = None,
        total_steps: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        taken = ("total_steps", "model", "validate", "state")
        check_options(type(self).__name__, options, of=Controller.attach, taken=taken)
        self.run: Run[TorchHost] | None = None
        self._controller = controller_of(controller)
        self._validate = validate
        self._total_steps = total_steps
        self._options = options
        self._state: Mapping[str, Any] | None = None
        self._num_steps = 0
        self._loss: Any = None
        self._backward_loss: Any = None

    @property
    def state_key(self) -> str:
        """The key of the run in Lightning's checkpoints."""
        return "HPOControl"

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Attach, once optimisers and checkpoint are loaded."""
        self._end()  # one that was interrupted
        total_steps = self._total_steps or _estimated_steps(trainer, pl_module)
        if math.isinf(total_steps) or total_steps < 0:  # Lightning says -1 of endless data
            raise ConfigurationError(
                "the trainer has no end: give it max_epochs or max_steps, or give the callback "
                "total_steps"
            )
        total_steps = int(total_steps)
        state, self._state = self._state, None  # of this training, not of a later one
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        options = ({"base_schedule": schedulers} if schedulers else {}) | self._options
        num_made = _num_made(trainer) if state is None else 0
        self.run = self._controller.attach(
            trainer.optimizers,
            total_steps=steps_to_come(total_steps, num_made),
            model=pl_module,
            validate=None if self._validate is None else lambda: self._validated(pl_module),
            state=state,
            **options,
        )
        self._num_steps = trainer.global_step
        self._loss = self._backward_loss = None

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        """Note the loss where the module itself calls `manual_backward`."""
        if self.run is None or pl_module.automatic_optimization:
            return
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        loss = loss.detach() if scaler is None else loss.detach() / scaler.get_scale()
        self._backward_loss = _plus(self._backward_loss, loss)

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
        loss = self._backward_loss if loss is None else loss
        self._backward_loss = None
        if loss is not None:  # Lightning has divided it by the number of accumulated batches
            self._loss = _plus(self._loss, loss)
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
        self._end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Let go of them, too, where the training is interrupted."""
        self._end()

    def state_dict(self) -> dict[str, Any]:
        """Return the run's state, for Lightning's checkpoint."""
        return {} if self.run is None else {"run": self.run.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until training starts."""
        self._state = state_dict.get("run")

    def _end(self) -> None:
        """Close a run that goes on, which gives the optimisers' own values back."""
        if self.run is not None:
            self.run.close()

    def _validated(self, pl_module: Any) -> Any:
        assert self._validate is not None
        pl_module.eval()
        with torch.no_grad():
            return self._validate(pl_module)


def _plus(total: Any, loss: Any) -> Any:
    return loss if total is None else total + loss


def _estimated_steps(trainer: Any, pl_module: Any) -> float:
    """Return how many batches will make a step; infinite or negative for training without end."""
    estimated: float = trainer.estimated_stepping_batches
    if pl_module.automatic_optimization or trainer.max_steps == -1:
        return estimated
    # Under manual optimisation `max_steps` counts the steps of each optimiser.
    steps: int = trainer.max_steps
    return min(estimated, math.ceil(steps / max(len(trainer.optimizers), 1)))


def _num_made(trainer: Any) -> int:
    """Return how many batches have made a step: `global_step` counts those of each optimiser."""
    made = getattr(trainer.fit_loop.epoch_loop, "_batches_that_stepped", trainer.global_step)
    return int(made)
