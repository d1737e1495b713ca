"""Small agents of Stable-Baselines3, environments that misbehave, and policies for them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest

from hpo_env.controller import Controller, ControllerWarning
from hpo_env.familiarity import Familiarity
from hpo_env.policy import Policy
from hpo_env.tasks.reinforcement.space import CONTROLLED
from hpo_env.testing.policies import linear_policy, steady_policy

ROLLOUT = 32
"""Steps of a rollout."""


class Paying(gymnasium.Env[np.ndarray, Any]):
    """Episodes of a few steps; what each pays is said from outside.

    Args:
        pay: Takes the number of the episode, from 0, and returns the reward of its last step.
        length: Steps of an episode; None: it never ends.
    """

    def __init__(self, pay: Callable[[int], float] = float, length: int | None = 4) -> None:
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self._pay, self._length = pay, length
        self._episode, self._step = -1, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, Any]:
        super().reset(seed=seed)
        self._episode += 1
        self._step = 0
        return self._seen(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, Any]:
        self._step += 1
        is_end = self._step == self._length
        reward = self._pay(self._episode) if is_end else 0.01 * float(action)
        return self._seen(), reward, is_end, False, {}

    def _seen(self) -> np.ndarray:
        return np.array([math.sin(self._step), math.cos(self._step)], dtype=np.float32)


def make_agent(kind: str = "PPO", env: Any = "CartPole-v1", **options: Any) -> Any:
    """Make an agent of an algorithm, so small that a rollout takes a few milliseconds."""
    sb3 = pytest.importorskip("stable_baselines3")
    own: dict[str, Any] = {"seed": 0, "device": "cpu", "policy_kwargs": {"net_arch": [4]}}
    own |= {
        "PPO": {"n_steps": ROLLOUT, "batch_size": 16, "n_epochs": 2},
        "A2C": {"n_steps": ROLLOUT},
        "DQN": {"learning_starts": ROLLOUT, "buffer_size": 1000, "train_freq": 8},
    }.get(kind, {})
    return getattr(sb3, kind)("MlpPolicy", env, **{**own, **options})


def make_policy(names: tuple[str, ...] = CONTROLLED, *, level: float | None = None) -> Policy:
    """Make a policy that moves by all that it sees, or evenly by a level."""
    if level is None:
        return linear_policy("reinforcement", names, base_schedule="constant")
    return steady_policy("reinforcement", names, level=level, base_schedule="constant")


def make_callback(policy: Policy | None = None, **options: Any) -> Any:
    """Make the callback, deciding once a rollout unless told otherwise."""
    from hpo_env.integrations.sb3 import HPOControlCallback

    controller = Controller(make_policy() if policy is None else policy)
    return HPOControlCallback(controller, **{"num_decisions": 100, **options})


def learn(agent: Any, callback: Any, num_rollouts: int, **options: Any) -> list[str]:
    """Train for so many rollouts and return what the controller has said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        agent.learn(num_rollouts * ROLLOUT * agent.n_envs, callback=callback, **options)
    return [str(w.message) for w in caught if issubclass(w.category, ControllerWarning)]


def knowing_nothing_like_it(policy: Policy) -> Policy:
    """Return the policy, having met in meta-training what no run looks like."""
    size = len(policy.fields)
    known = Familiarity(
        mean=np.full(size, 3.0, dtype=np.float32),
        whitening=np.eye(size, dtype=np.float32),
        threshold=1.0,
    )
    return replace(policy, familiarity=known)
