"""Weights & Biases: the schedule, the losses and the decisions of a run as curves.

    tracked = wandb.init(project="mine", mode="offline")
    run = controller.attach(optimizer, ..., loggers=[WandbLogger(tracked)])

The keys are the tags of `hpo_env.integrations.tensorboard`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo_env.control.decider import Decision
from hpo_env.integrations.tensorboard import decision_scalars

STEP = "hpo_control/step"
"""The x axis of all curves: updates of the optimiser. The user's own logging keeps its own."""


class WandbLogger:
    """Writes a run into one of Weights & Biases.

    Args:
        tracked: What `wandb.init` returned; it stays open when the run is closed.
        has_observations: Whether every field of the observation becomes a curve too.
    """

    def __init__(self, tracked: Any, *, has_observations: bool = False) -> None:
        self._tracked = tracked
        self._has_observations = has_observations
        for tags in ("hyperparameters/*", "decisions/*", "observations/*", "intervals/*"):
            tracked.define_metric(tags, step_metric=STEP)

    def log_decision(self, decision: Decision) -> None:
        """Write values and moves."""
        scalars = decision_scalars(decision, self._has_observations)
        self._tracked.log({STEP: decision.step} | scalars)

    def log_interval(self, step: int, measured: Mapping[str, float]) -> None:
        """Write what an interval measured."""
        scalars = {f"intervals/{name}": value for name, value in measured.items()}
        self._tracked.log({STEP: step} | scalars)

    def close(self) -> None:
        """Leave the tracked run to the user."""
