"""What an agent of Stable-Baselines3 does without randomness, as moves of hyperparameters.

This is what a policy file does once it is deployed, and what checkpoints are scored by.

Axes: `N` lanes, `H` hyperparameters, `D` entries of what the agent observes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete, MultiDiscrete
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import MultiCategoricalDistribution
from stable_baselines3.common.policies import ActorCriticPolicy

from hpo_env.hyperparameters import LEVELS, split_joint_choices

Array = NDArray[np.float64]


def deterministic_moves(
    model: BaseAlgorithm,
    observations: NDArray[np.float32],
    num_hyperparameters: int,
    *,
    state: Any = None,
    starts: NDArray[np.bool_] | None = None,
) -> tuple[Array, Any]:
    """Return an agent's moves, and its memory after them.

    An agent that draws one of five choices for each hyperparameter makes the mean of them, which is
    steadier than the most probable one. A recurrent agent makes the most probable one.

    Args:
        model: An agent.
        observations: `[N, D]`, privileged features included where the agent has them.
        num_hyperparameters: `H`.
        state: Memory of a recurrent agent; None at the start and for others.
        starts: Which lanes begin an episode `[N]`.

    Returns:
        Moves `[N, H]` in `[-1, 1]`, and the memory.
    """
    if isinstance(model.action_space, MultiDiscrete) and not is_recurrent(model):
        return _mean_choices(model, observations), state
    actions, state = model.predict(
        observations, state=state, episode_start=starts, deterministic=True
    )
    if isinstance(model.action_space, Discrete):
        return LEVELS[split_joint_choices(actions, num_hyperparameters)], state
    if isinstance(model.action_space, MultiDiscrete):
        return LEVELS[actions], state
    return np.clip(actions, -1.0, 1.0).astype(np.float64), state


def is_recurrent(model: BaseAlgorithm) -> bool:
    """Say whether an agent's policy has a memory; its class is in a package that may be absent."""
    return hasattr(model.policy, "lstm_actor")


def _mean_choices(model: BaseAlgorithm, observations: NDArray[np.float32]) -> Array:
    policy = model.policy
    assert isinstance(policy, ActorCriticPolicy)
    policy.set_training_mode(False)
    tensor, _ = policy.obs_to_tensor(observations)
    with torch.no_grad():
        chosen = policy.get_distribution(tensor)
    assert isinstance(chosen, MultiCategoricalDistribution)
    return np.stack([one.probs.cpu().numpy() @ LEVELS for one in chosen.distribution], axis=1)
