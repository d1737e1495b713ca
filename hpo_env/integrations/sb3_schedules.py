"""Schedules that an agent of Stable-Baselines3 has of its own: the base that is corrected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo_env.control.host import Steered
from hpo_env.integrations.borrowed import BorrowedValue
from hpo_env.integrations.sb3_values import SCHEDULED, is_constant


class OwnSchedules:
    """The learning rate, and perhaps the clip range, where they are functions of the progress.

    Args:
        model: The agent.
        values: What of it can be written.

    Attributes:
        names: Hyperparameters that have one.
    """

    def __init__(self, model: Any, values: Mapping[str, BorrowedValue]) -> None:
        self._model = model
        found = {n: values[n].found for n in SCHEDULED if n in values}
        self._schedules = {name: one for name, one in found.items() if not is_constant(one)}
        self.names = frozenset(self._schedules)

    def base(self, rollouts_ahead: float = 0.0) -> Mapping[str, float] | None:
        """Return what they ask for in the next training; None where there is none.

        Args:
            rollouts_ahead: Rollouts that come before it and are not collected yet.
        """
        if not self._schedules:
            return None
        progress = self._progress_remaining(rollouts_ahead)
        return {name: float(schedule(progress)) for name, schedule in self._schedules.items()}

    def base_change(
        self, num_updates: int, rollouts_ahead: float = 0.0
    ) -> tuple[float, float] | None:
        """Return the learning rate in the middle of an interval that ends now, and of the next.

        Args:
            num_updates: Rollouts in an interval.
            rollouts_ahead: See `base`.
        """
        if not self._schedules:
            return None
        half = 0.5 * num_updates * self._share_of_a_rollout()
        now = self._progress_remaining(rollouts_ahead)
        rate = self._schedules["learning_rate"]
        return float(rate(min(now + half, 1.0))), float(rate(max(now - half, 0.0)))

    def follow(self, run: Steered | None) -> None:
        """Write what they ask for in the training on the next rollout."""
        if self.names and run is not None and not run.is_over:
            run.write()

    def _share_of_a_rollout(self) -> float:
        model = self._model
        return float(model.n_steps * model.n_envs / max(model._total_timesteps, 1))

    def _progress_remaining(self, rollouts_ahead: float) -> float:
        """Return what the agent will pass to its schedules in the next training."""
        model = self._model
        done = model.num_timesteps / max(model._total_timesteps, 1)
        left = 1.0 - done - rollouts_ahead * self._share_of_a_rollout()
        return float(min(max(left, 0.0), 1.0))
