"""Hugging Face Trainer: a callback that steers `Trainer.train`.

    trainer = Trainer(model=model, args=args, callbacks=[HPOControlCallback(controller)])

The trainer's scheduler is the base schedule (and the `learning_rate` that the trainer logs is the
base rate). The run is saved beside each of the trainer's checkpoints, and goes on with
`trainer.train(resume_from_checkpoint=...)`. The loss that is followed is what `training_step` comes
to, whatever computes it: the model, label smoothing or a `compute_loss` of one's own. The trainer
clips gradients before anybody sees them: with `max_grad_norm` in force the policy sees norms after
clipping. A trainer tells its callbacks nothing of exceptions: one that was interrupted gives the
values back when it trains again, or with `callback.run.close()`.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hpo_env.control.frames import variables
from hpo_env.control.run import Run
from hpo_env.control.torch_host import TorchHost
from hpo_env.controller import Controller
from hpo_env.integrations.callbacks import Callback, Decides, controller_of
from hpo_env.integrations.extras import require
from hpo_env.integrations.lengths import steps_to_come
from hpo_env.integrations.options import check_options

_transformers = require("transformers", extra="hf")

STATE_FILE = "hpo_control.pt"
"""Name of the run's file in the trainer's checkpoint folders."""


class HPOControlCallback(Callback, _transformers.TrainerCallback):  # type: ignore[misc,name-defined]
    """Steers the optimiser of a Hugging Face `Trainer`, any number of times.

    After each training it has its own values back, and the next begins anew.

    Args:
        controller: What decides; a controller, or the name or the folder of a policy.
        validate: Takes the model and returns the validation loss; called in eval mode without
            gradients, at the start and after every decision interval. None: the loss of the
            trainer's own evaluation, where it made one in the interval, and else the training loss.
        **options: Further arguments of `Controller.attach`.

    Attributes:
        run: The run of the last training, once it has begun.

    Raises:
        UnknownArgumentError: An option is none.
    """

    def __init__(
        self,
        controller: Decides,
        *,
        validate: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None:
        taken = ("total_steps", "model", "validate", "state")
        check_options(type(self).__name__, options, of=Controller.attach, taken=taken)
        self.run: Run[TorchHost] | None = None
        self._controller = controller_of(controller)
        self._validate = validate
        self._options = options
        self._evaluated = float("nan")
        self._losses: list[torch.Tensor] = []
        self._trainer: Any = None
        self._own_step: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Attach, once optimiser, scheduler and checkpoint are loaded."""
        self._end()  # one that was interrupted
        trainer, folder = _calling_trainer()
        model, step = kwargs["model"], state.global_step
        saved = None
        if step > 0:
            folders = [folder] if folder is not None else []
            saved = _load([*folders, Path(args.output_dir) / f"checkpoint-{step}"])
        options = {"base_schedule": kwargs["lr_scheduler"]} | self._options
        self._evaluated = float("nan") if saved is None else saved["evaluated"]
        self._losses = []
        num_made = step if saved is None else 0
        self.run = self._controller.attach(
            kwargs["optimizer"],
            total_steps=steps_to_come(state.max_steps, num_made),
            model=model,
            validate=lambda: self._validated(model),
            state=None if saved is None else saved["run"],
            **options,
        )
        if trainer is not None:
            self._trainer, self._own_step = trainer, vars(trainer).get("training_step")
            trainer.training_step = functools.partial(self._training_step, trainer.training_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count a step of the optimiser."""
        if self.run is None:
            return
        # The trainer has divided each by the number of accumulated batches.
        loss = torch.stack(self._losses).sum() if self._losses else None
        self._losses = []
        self.run.step(loss)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the loss of the trainer's own evaluation."""
        self._evaluated = kwargs.get("metrics", {}).get("eval_loss", self._evaluated)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save the run beside the trainer's checkpoint."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if self.run is not None and state.is_world_process_zero and folder.is_dir():
            saved = {"run": self.run.state_dict(), "evaluated": self._evaluated}
            torch.save(saved, folder / STATE_FILE)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let go of trainer and optimiser."""
        self._end()

    def _end(self) -> None:
        """Close a run that goes on, which gives the optimiser's own values back."""
        if self._trainer is not None:
            del self._trainer.training_step
            if self._own_step is not None:
                self._trainer.training_step = self._own_step
            self._trainer = None
        if self.run is not None:
            self.run.close()

    def _training_step(self, inner: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Note the loss of a batch: the trainer tells its callbacks only averages."""
        loss = inner(*args, **kwargs)
        if self._trainer is not None:
            self._losses.append(loss.detach())
        return loss

    def _validated(self, model: Any) -> Any:
        if self._validate is None:
            evaluated, self._evaluated = self._evaluated, math.nan  # it is new only once
            return None if math.isnan(evaluated) else evaluated
        model.eval()
        with torch.no_grad():
            return self._validate(model)


def _calling_trainer() -> tuple[Any, Path | None]:
    """Return the trainer that is calling a callback, and the checkpoint that it resumes from.

    A trainer tells its callbacks neither, so both are looked up among the callers.
    """
    trainer: Any = None
    frame: Any = sys._getframe(1)
    while frame is not None:
        values = variables(frame)
        if isinstance(values.get("self"), _transformers.Trainer):
            trainer = values["self"]
            folder = values.get("resume_from_checkpoint")
            if isinstance(folder, str):
                return trainer, Path(folder)
        frame = frame.f_back
    return trainer, None


def _load(folders: list[Path]) -> Any:
    """Load a saved run from the first folder that has one, None where none has."""
    for folder in folders:
        if (folder / STATE_FILE).is_file():
            return torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    return None
