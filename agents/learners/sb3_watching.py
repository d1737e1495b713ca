"""What looks on, or interferes, while an agent of Stable-Baselines3 learns."""

from __future__ import annotations

from typing import Any

from gymnasium.spaces import MultiDiscrete
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from .base import Watcher
from .moves import is_recurrent
from .vec_env import unwrap


class Watched(BaseCallback):
    """Lets a watcher look on."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher

    def _on_step(self) -> bool:
        step = unwrap(self.training_env).last
        assert step is not None
        self._watcher.stepped(step, self.num_timesteps)
        return True

    def _on_rollout_end(self) -> None:
        self._watcher.rolled_out(self.num_timesteps)


class ActorHeld(BaseCallback):
    """Holds the actor in the updates after rollouts that end within the first steps.

    Weights without a gradient are passed over by the optimiser, whose memory of them does not begin
    before they move.
    """

    def __init__(self, num_steps: int) -> None:
        super().__init__()
        self._held_steps = num_steps

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        moves = self.num_timesteps > self._held_steps
        policy: Any = self.model.policy
        held = [policy.mlp_extractor.policy_net, policy.action_net]
        if is_recurrent(self.model):
            held.append(policy.lstm_actor)
        if not isinstance(self.model.action_space, MultiDiscrete):
            held.append(policy.log_std)
        for part in held:
            part.requires_grad_(moves)


class Forwarding(Logger):
    """Hands what an agent measures of itself to a watcher, and writes nothing."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__(None, [])
        self._watcher = watcher

    def record(self, key: str, value: Any, exclude: str | tuple[str, ...] | None = None) -> None:
        """Hand a measurement on, but for those that are not meant for TensorBoard."""
        if exclude is None or "tensorboard" not in exclude:
            self._watcher.record(key, value)
