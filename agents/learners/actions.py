"""Joint discrete actions, for agents that know one `Discrete` choice only (DQN).

Every combination of the hyperparameters' choices becomes one choice. The number of combinations is
a power of H, so this serves a few hyperparameters and is refused beyond.

Axes: `N` lanes, `H` controlled hyperparameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import split_joint_choices
from hpo_env.lanes_env import MAX_JOINT_CHOICES

__all__ = ["MAX_JOINT_CHOICES", "JointActions"]


class JointActions(VecEnvWrapper):
    """Show a `MultiDiscrete` action space as one `Discrete` space.

    Args:
        venv: An environment with `MultiDiscrete` actions.

    Raises:
        ConfigurationError: The actions are not `MultiDiscrete`, or have too many combinations.
    """

    def __init__(self, venv: VecEnv) -> None:
        space = venv.action_space
        if not isinstance(space, MultiDiscrete):
            raise ConfigurationError(
                f"joint choices need action_mode='discrete'; the action space is {space}"
            )
        count = int(np.prod(space.nvec, dtype=np.int64))
        if count > MAX_JOINT_CHOICES:
            raise ConfigurationError(
                f"{len(space.nvec)} hyperparameters have {count} joint choices, and at most "
                f"{MAX_JOINT_CHOICES} are allowed: give the agent fewer hyperparameters, or take "
                "agent 'ppo', which chooses for each one separately"
            )
        super().__init__(venv, action_space=Discrete(count))
        self._num_hyperparameters = len(space.nvec)

    def __reduce__(self) -> tuple[type[JointActions], tuple[VecEnv]]:
        return JointActions, (self.venv,)  # what the wrapper notes of its class cannot be copied

    def reset(self) -> Any:
        """Start new episodes in all lanes."""
        return self.venv.reset()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take joint choices `[N]`."""
        self.venv.step_async(split_joint_choices(actions, self._num_hyperparameters))

    def step_wait(self) -> VecEnvStepReturn:
        """Train every lane for one decision interval."""
        return self.venv.step_wait()
