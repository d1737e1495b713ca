"""Decisions of a run in the logger of the Stable-Baselines3 agent that it steers.

The tags are those of `hpo_env.integrations.tensorboard`, under `controller/`; they come out
wherever the agent's own do, at its next dump: on the screen, in CSV files, in TensorBoard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo_env.control.decider import Decision
from hpo_env.integrations.tensorboard import decision_scalars


class AgentLogger:
    """Writes into the logger of an agent.

    Args:
        model: The agent.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def log_decision(self, decision: Decision) -> None:
        """Record values, and for files alone moves and trust."""
        for tag, value in decision_scalars(decision, has_observations=False).items():
            hidden = "stdout" if tag.startswith("decisions/") else None
            self._model.logger.record(f"controller/{tag}", value, exclude=hidden)

    def log_interval(self, step: int, measured: Mapping[str, float]) -> None:
        """Record nothing: what an interval measures, the agent logs itself."""

    def close(self) -> None:
        """Leave the agent's logger to the agent."""
