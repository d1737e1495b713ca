"""Reads of an agent of Stable-Baselines3 what a meter wants to know, as a callback can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hpo_env.tasks.reinforcement.meter import Meter

_LOGGED = {
    "explained_variance": ("train/explained_variance", 1.0),
    "approx_kl": ("train/approx_kl", 1.0),
    "clip_fraction": ("train/clip_fraction", 1.0),
    "entropy": ("train/entropy_loss", -1.0),
    "value_loss": ("train/value_loss", 1.0),
}
"""Measures that `train()` logs: under which key, and times what."""

_LOGGED_OFF_POLICY = {"value_loss": ("train/loss", 1.0)}
"""The same of an agent that learns from a replay buffer; its loss is that of its value function."""


class AgentMeter(Meter):
    """Collects the measures of one agent.

    Episodes are those that `Monitor` reports. Environments without it are counted here, by the
    rewards before `VecNormalize`.

    Args:
        model: The agent.
    """

    def __init__(self, model: Any) -> None:
        policy = model.policy
        super().__init__(policy, policy.optimizer, model.n_envs, lambda: float(model.max_grad_norm))
        self._model = model
        self._logged = _LOGGED if hasattr(model, "rollout_buffer") else _LOGGED_OFF_POLICY

    def read_step(self, infos: Sequence[Mapping[str, Any]], rewards: Any, dones: Any) -> None:
        """Take in a step from what `collect_rollouts` has at hand."""
        normalizer = self._model.get_vec_normalize_env()
        ended = {env: infos[env] for env in np.flatnonzero(dones).tolist()}
        self.take_step(
            rewards,
            dones,
            paid=None if normalizer is None else normalizer.get_original_reward(),
            truncated=[bool(info.get("TimeLimit.truncated")) for info in infos],
            known={
                env: (info["episode"]["r"], info["episode"]["l"])
                for env, info in ended.items()
                if "episode" in info
            },
        )

    def read_targets(self) -> None:
        """Take in the advantages and targets that the next update is made of."""
        buffer = getattr(self._model, "rollout_buffer", None)
        if buffer is not None:
            self.take_targets(buffer.advantages, buffer.returns)

    def read_update(self) -> None:
        """Take in what the update that has just been made has logged."""
        logged = self._model.logger.name_to_value
        self.take_update(
            {
                name: sign * float(logged[key])
                for name, (key, sign) in self._logged.items()
                if key in logged
            }
        )
