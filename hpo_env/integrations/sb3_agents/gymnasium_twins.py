"""The family's environments as Gymnasium's, for agents of Stable-Baselines3.

The rules are the obvious ones of `environments`; a time limit and the count of episodes stand
around them as around any other environment.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from numpy.typing import NDArray

from hpo_env.integrations.extras import require
from hpo_env.integrations.sb3_rewards import ScaledRewards
from hpo_env.seeding import stream
from hpo_env.tasks.reinforcement.environments.base import Random
from hpo_env.tasks.reinforcement.environments.registry import TYPE
from hpo_env.tasks.reinforcement.task import ReinforcementTask

_monitor = require("stable_baselines3.common.monitor", extra="train")
_vec_env = require("stable_baselines3.common.vec_env", extra="train")


class TwinEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """One of the family's environments.

    Args:
        name: Of the type.
        physics: Name of one of its physics; None: the usual one.
        stretch: Steps that make one of the rules'; see `ReinforcementTask`.

    Example:
        >>> env = TwinEnv("cart_pole")
        >>> seen, _ = env.reset(seed=0)
        >>> seen.shape, env.step(1)[1:4]
        ((4,), (1.0, False, False))
    """

    def __init__(self, name: str, physics: str | None = None, stretch: int = 1) -> None:
        kind = TYPE[name]
        rules = kind.rules
        self.max_steps = rules.max_steps * stretch
        self._stretch, self._phase = stretch, 0
        self._held = np.zeros(1, dtype=np.float32)
        self._rules = rules(kind.physics[physics or next(iter(kind.physics))], Random(0))
        self.observation_space = spaces.Box(-np.inf, np.inf, (rules.observation_size,), np.float32)
        self.action_space = (
            spaces.Discrete(rules.num_outputs)
            if rules.is_discrete
            else spaces.Box(rules.low, rules.high, (rules.num_outputs,), np.float32)
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        if seed is not None:
            self._rules.random = Random(int(stream(seed, "environment").integers(2**63)))
        self._rules.reset()
        self._phase = 0
        return self._rules.observe(), {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Act."""
        if self._phase == 0 or self._rules.random.below(self._phase + 1) == 0:
            self._held = np.atleast_1d(np.asarray(action, dtype=np.float32))
        self._phase = (self._phase + 1) % self._stretch
        reward, is_end = (0.0, False) if self._phase else self._rules.step(self._held)
        return self._rules.observe(), float(reward), is_end, False, {}


class _Copyable:
    """Keeps what is inside when it is copied; the originals' copies are made to be saved."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        for name, value in vars(self).items():
            is_of_class = name == "class_attributes"
            vars(new)[name] = value if is_of_class else copy.deepcopy(value, memo)
        return new


class _Normalised(_Copyable, _vec_env.VecNormalize):  # type: ignore[misc,name-defined]
    pass


class _Scaled(_Copyable, ScaledRewards):
    pass


def make_env(name: str, physics: str | None = None, stretch: int = 1) -> gymnasium.Env[Any, Any]:
    """Make an environment with its time limit, that reports its episodes."""
    env = TwinEnv(name, physics, stretch)
    found: gymnasium.Env[Any, Any] = _monitor.Monitor(TimeLimit(env, env.max_steps))
    return found


def make_twins(task: ReinforcementTask) -> Any:
    """Make the environments of a task's agent, whose rewards can be scaled."""
    make = partial(make_env, task.name, task.physics, task.stretch)
    envs = _vec_env.DummyVecEnv([make] * task.num_envs)
    return _Scaled(_Normalised(envs) if task.normalises else envs)
