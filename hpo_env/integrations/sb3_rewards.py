"""Stable-Baselines3: a wrapper that multiplies rewards by a number which a controller can write.

    env = ScaledRewards(make_vec_env("LunarLander-v3", n_envs=8))
    agent = PPO("MlpPolicy", env)

The scale of rewards is no hyperparameter of an agent; without this wrapper, or with `VecNormalize`
outside of it, which takes any scale away again, there is none to move.
"""

from __future__ import annotations

import math
from typing import Any

from hpo_env.errors import ConfigurationError
from hpo_env.integrations.extras import require

_base = require("stable_baselines3.common.vec_env", extra="train")


class ScaledRewards(_base.VecEnvWrapper):  # type: ignore[misc,name-defined]
    """Vectorised environments whose rewards are multiplied; returns of episodes stay as paid.

    Args:
        venv: The environments; `Monitor` beneath reports returns as they are paid.
        reward_scale: The factor, positive; a controller starts from it.

    Raises:
        ConfigurationError: The factor is not a positive number.
    """

    def __init__(self, venv: Any, reward_scale: float = 1.0) -> None:
        if not (math.isfinite(reward_scale) and reward_scale > 0.0):
            raise ConfigurationError(f"reward_scale must be a positive number; got {reward_scale}")
        super().__init__(venv)
        self.reward_scale = float(reward_scale)

    def reset(self) -> Any:
        """Reset all environments."""
        return self.venv.reset()

    def step_wait(self) -> Any:
        """Wait for the step, and scale its rewards."""
        observations, rewards, dones, infos = self.venv.step_wait()
        return observations, rewards * self.reward_scale, dones, infos
