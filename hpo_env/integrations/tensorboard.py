"""TensorBoard: the schedule, the losses and the decisions of a run as curves.

    run = controller.attach(optimizer, ..., loggers=[TensorBoardLogger("logs/mine")])

=========================  ====================================================================
tag                        what it is
=========================  ====================================================================
hyperparameters/<name>     The value in force, read back from where it is used
decisions/<name>           The move, in [-1, 1]; on top of it comes the base schedule
observations/<field>       What the policy saw; only with `has_observations`
intervals/<measurement>    What an interval measured: losses, gradient norms, displacement
decisions/guard            1 where a divergence, and not the policy, decided
decisions/trust            Share of the policy in the move; below 1 where what it saw was foreign
=========================  ====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo_env.control.decider import Decision
from hpo_env.integrations.extras import require


class TensorBoardLogger:
    """Writes a run into a folder of TensorBoard; the x axis counts updates.

    Args:
        folder: Where to write.
        has_observations: Whether every field of the observation becomes a curve too.
    """

    def __init__(self, folder: str | Path, *, has_observations: bool = False) -> None:
        module = require("torch.utils.tensorboard", extra="train")
        self._writer: Any = module.SummaryWriter(str(folder))
        self._has_observations = has_observations

    def log_decision(self, decision: Decision) -> None:
        """Write values and moves."""
        for tag, value in decision_scalars(decision, self._has_observations).items():
            self._writer.add_scalar(tag, value, decision.step)

    def log_interval(self, step: int, measured: Mapping[str, float]) -> None:
        """Write what an interval measured."""
        for name, value in measured.items():
            self._writer.add_scalar(f"intervals/{name}", value, step)

    def close(self) -> None:
        """Write everything out."""
        self._writer.close()


def decision_scalars(decision: Decision, has_observations: bool) -> dict[str, float]:
    """List the curves' points of one decision, by tag."""
    scalars = {f"hyperparameters/{name}": v for name, v in decision.values.items()}
    scalars |= {f"decisions/{name}": v for name, v in decision.moves.items()}
    scalars["decisions/guard"] = float(decision.reason == "guard")
    scalars["decisions/trust"] = decision.trust
    if has_observations:
        scalars |= {f"observations/{name}": v for name, v in decision.observation.items()}
    return scalars
