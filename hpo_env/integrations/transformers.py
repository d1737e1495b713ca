"""Hugging Face Trainer: a callback that steers `Trainer.train`.

    trainer = Trainer(model=model, args=args, callbacks=[HPOControlCallback(controller)])

The trainer's scheduler is the base schedule (and the `learning_rate` that the trainer logs is the
base rate). The run is saved beside each of the trainer's checkpoints, and goes on with
`trainer.train(resume_from_checkpoint=...)`. The trainer clips gradients before anybody sees them:
with `max_grad_norm` in force the policy sees norms after clipping.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from hpo_env.control.run import Run
from hpo_env.control.torch_host import TorchHost
from hpo_env.controller import Controller
from hpo_env.integrations.extras import require

_transformers = require("transformers", extra="hf")

STATE_FILE = "hpo_control.pt"
"""Name of the run's file in the trainer's checkpoint folders."""


class HPOControlCallback(_transformers.TrainerCallback):  # type: ignore[misc,name-defined]
    """Steers the optimiser of a Hugging Face `Trainer`.

    Args:
        controller: What decides.
        validate: Takes the model and returns the validation loss; called in eval mode without
            gradients, at the start and after every decision interval. None: the last loss of the
            trainer's own evaluations, if it makes any, and else the training loss.
        **options: Further arguments of `Controller.attach`.

    Attributes:
        run: The run, once training has begun.
    """

    def __init__(
        self,
        controller: Controller,
        *,
        validate: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None:
        self.run: Run[TorchHost] | None = None
        self._controller = controller
        self._validate = validate
        self._options = options
        self._evaluated = float("nan")
        self._losses: list[torch.Tensor] = []
        self._is_scaled = False
        self._hook: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Attach, once optimiser, scheduler and checkpoint are loaded."""
        model = kwargs["model"]
        saved = None
        if state.global_step > 0:
            path = Path(args.output_dir) / f"checkpoint-{state.global_step}" / STATE_FILE
            if path.is_file():
                saved = torch.load(path, map_location="cpu", weights_only=True)
        self._hook = model.register_forward_hook(self._after_forward, with_kwargs=True)
        options = {"base_schedule": kwargs["lr_scheduler"]} | self._options
        self._evaluated = float("nan") if saved is None else saved["evaluated"]
        self.run = self._controller.attach(
            kwargs["optimizer"],
            total_steps=state.max_steps,
            model=model,
            validate=lambda: self._validated(model),
            state=None if saved is None else saved["run"],
            **options,
        )
        if state.max_steps > self.run.plan.total_steps:
            self.run.extend(state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count a step of the optimiser."""
        if self.run is None:
            return
        loss = None
        if self._losses:
            total = torch.stack(self._losses).sum()
            # Models that are told the number of items divide by it themselves.
            loss = total if self._is_scaled else total / len(self._losses)
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
        """Let go of model and optimiser."""
        if self._hook is not None:
            self._hook.remove()
        if self.run is not None:
            self.run.close()

    def _after_forward(self, model: Any, args: Any, kwargs: Mapping[str, Any], output: Any) -> None:
        """Note the loss: the trainer tells its callbacks only averages."""
        loss = output.get("loss") if isinstance(output, Mapping) else None
        if model.training and loss is not None:
            self._is_scaled = kwargs.get("num_items_in_batch") is not None
            self._losses.append(loss.detach().mean())

    def _validated(self, model: Any) -> Any:
        if self._validate is None:
            return None if math.isnan(self._evaluated) else self._evaluated
        model.eval()
        with torch.no_grad():
            return self._validate(model)
