"""Fit the familiarity of a policy: let it see meta-training once more, and keep what it saw.

This happens once, when a policy is made for shipping. Half of the lanes follow the policy, a
quarter moves at random and a quarter not at all, so that what exploration saw in meta-training
counts as familiar too.

Axes: `N` lanes, `H` hyperparameters, `D` observation fields.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.familiarity import Familiarity
from hpo_env.hyperparameters import LEVELS
from hpo_env.policy import Policy
from hpo_env.seeding import stream
from hpo_env.vector_env import HPOControlVectorEnv


def fit_familiarity(
    policy: Policy, *, seed: int, num_lanes: int = 64, num_episodes: int = 8, **options: Any
) -> Policy:
    """Return the policy with the familiarity of its meta-training tasks.

    Args:
        policy: What acts; a familiarity that it has already is fitted anew.
        seed: Lane `i` draws its tasks from `seed + i`. Equal seeds give equal familiarities.
        num_lanes: `N`, at least 4, so that each way of moving has a lane.
        num_episodes: Runs in each lane, at least 1.
        **options: Of `HPOControlVectorEnv` and of the family, where meta-training was given others
            than their defaults: `num_decisions`, `availability`, `engine` and so on.

    Raises:
        ConfigurationError: A number is out of range.
    """
    for name, number, least in (("num_lanes", num_lanes, 4), ("num_episodes", num_episodes, 1)):
        if number < least:
            raise ConfigurationError(f"{name} must be at least {least}; got {number}")
    plain = replace(policy, familiarity=None)
    env = HPOControlVectorEnv(
        num_lanes,
        family=policy.family,
        split="train",
        hyperparameters=policy.space.names,
        base_schedule=policy.base_schedule,
        action_mode="continuous",  # of a discrete policy too: it answers in moves
        **options,
    )
    try:
        seen = _observe(env, plain, seed=seed, num_episodes=num_episodes)
    finally:
        env.close()
    return replace(policy, familiarity=Familiarity.fit(seen, policy.fields))


def _observe(
    env: HPOControlVectorEnv, policy: Policy, *, seed: int, num_episodes: int
) -> NDArray[np.float32]:
    """Collect every observation that a decision was made from, `[.., D]`."""
    rng = stream(seed, "familiarity")
    half, quarter = env.num_envs // 2, env.num_envs // 4
    randomly = slice(half, half + quarter)
    seen, episodes = [], np.zeros(env.num_envs, dtype=np.int64)
    observations, _ = env.reset(seed=seed)
    state = policy.start(half)
    while (running := episodes < num_episodes).any():
        seen.append(observations[running])  # lanes that are through go on, and nobody looks
        moves = np.zeros((env.num_envs, len(policy.space)))
        moves[:half], _, state = policy.step(observations[:half], state)
        moves[randomly] = rng.choice(LEVELS, (quarter, len(policy.space)))
        observations, _, terminated, _, _ = env.step(moves)
        episodes += terminated
        state = policy.forget(state, terminated[:half])
    return np.concatenate(seen)
