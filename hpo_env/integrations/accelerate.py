"""Accelerate: a controller for a loop with an `Accelerator`.

    model, optimizer, loader, scheduler = accelerator.prepare(model, optimizer, loader, scheduler)
    run = attach(controller, accelerator, optimizer, total_steps=..., base_schedule=scheduler)
    for x, y in loader:
        with accelerator.accumulate(model):
            ...
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            step(run, accelerator, loss)

The run is part of `accelerator.save_state` and `load_state`.
"""

from __future__ import annotations

from typing import Any

from hpo_env.control.run import Run
from hpo_env.control.torch_host import TorchHost
from hpo_env.controller import Controller
from hpo_env.integrations.extras import require


def attach(
    controller: Controller, accelerator: Any, optimizer: Any, **options: Any
) -> Run[TorchHost]:
    """Attach to prepared optimisers, and register the run for the accelerator's checkpoints.

    Args:
        controller: What decides.
        accelerator: The loop's `Accelerator`.
        optimizer: One prepared optimiser, or a list.
        **options: As for `Controller.attach`.
    """
    require("accelerate", extra="hf")
    run = controller.attach(optimizer, **options)
    accelerator.register_for_checkpointing(run)
    return run


def step(run: Run[TorchHost], accelerator: Any, loss: Any) -> None:
    """Count an update, unless the accelerator only accumulated a gradient."""
    if accelerator.sync_gradients:
        run.step(loss)
