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

The run is part of `accelerator.save_state` and `load_state`; of several that were attached to an
optimiser one after another, the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo_env.control.live_schedule import unwrapped
from hpo_env.control.run import Run
from hpo_env.control.torch_host import TorchHost
from hpo_env.integrations.callbacks import Decides, controller_of
from hpo_env.integrations.extras import require


class _Checkpointed:
    """What an accelerator saves and loads: the run that was attached last to an optimiser."""

    def __init__(self, optimizer: Any, run: Run[TorchHost]) -> None:
        self.optimizer = optimizer
        self.run = run

    def state_dict(self) -> dict[str, Any]:
        """Return that of the run."""
        return self.run.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Have the run load it."""
        self.run.load_state_dict(state)


def attach(controller: Decides, accelerator: Any, optimizer: Any, **options: Any) -> Run[TorchHost]:
    """Attach to prepared optimisers, and register the run for the accelerator's checkpoints.

    Args:
        controller: What decides; a controller, or the name or the folder of a policy.
        accelerator: The loop's `Accelerator`.
        optimizer: One prepared optimiser, or a list.
        **options: As for `Controller.attach`.
    """
    require("accelerate", extra="hf")
    run = controller_of(controller).attach(optimizer, **options)
    first = unwrapped(optimizer[0] if isinstance(optimizer, list | tuple) else optimizer)
    # An accelerator forgets nothing that was registered, and would load into runs that are over.
    for known in getattr(accelerator, "_custom_objects", ()):
        if isinstance(known, _Checkpointed) and known.optimizer is first:
            known.run = run
            return run
    accelerator.register_for_checkpointing(_Checkpointed(first, run))
    return run


def step(run: Run[TorchHost], accelerator: Any, loss: Any) -> None:
    """Count an update, unless the accelerator only accumulated a gradient."""
    if accelerator.sync_gradients:
        run.step(loss)
