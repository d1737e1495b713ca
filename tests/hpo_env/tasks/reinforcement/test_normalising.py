"""What a learner that normalises sees and gets is what `VecNormalize` shows and pays."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from hpo_env.tasks.reinforcement.family import ReinforcementFamily
from hpo_env.tasks.reinforcement.memory import Learner
from hpo_env.tasks.reinforcement.normalising import Normaliser

vec_env = pytest.importorskip("stable_baselines3.common.vec_env")

NUM_STEPS, LENGTH = 40, 7  # episodes of 7 steps


class Scripted(gym.Env):
    """Shows and pays what was drawn before."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.shown = (5.0 + 20.0 * rng.standard_normal((200, 3))).astype(np.float32)
        self.paid = (3.0 * rng.standard_exponential(200)).astype(np.float32)
        self.at = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.at += 1
        return self.shown[self.at], {}

    def step(self, action: Any) -> Any:
        self.at += 1
        return self.shown[self.at], float(self.paid[self.at]), self.at % LENGTH == 0, False, {}


def test_it_is_that_of_stable_baselines() -> None:
    task = ReinforcementFamily(
        environment="regulator", normalises=True, shape=(2, NUM_STEPS, 1)
    ).sample(np.random.default_rng(0))
    normaliser = Normaliser(Learner(task, 0))
    plain = vec_env.DummyVecEnv([lambda: Scripted(1), lambda: Scripted(2)])
    theirs = vec_env.VecNormalize(vec_env.DummyVecEnv([lambda: Scripted(1), lambda: Scripted(2)]))
    normaliser.begin()
    raw = plain.reset()
    normaliser.take_observations(raw)
    np.testing.assert_allclose(normaliser.seen(raw), theirs.reset(), rtol=1e-4, atol=1e-4)
    num_ends = 0
    for _ in range(NUM_STEPS):
        raw, paid, over, infos = plain.step(np.zeros(2, dtype=int))
        seen, got, _, normalised = theirs.step(np.zeros(2, dtype=int))
        normaliser.take_observations(raw)
        np.testing.assert_allclose(normaliser.seen(raw), seen, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(normaliser.rewards(paid, over), got, rtol=1e-3, atol=1e-3)
        for env in np.flatnonzero(over):
            last = normaliser.seen(infos[env]["terminal_observation"][None])[0]
            expected = normalised[env]["terminal_observation"]
            np.testing.assert_allclose(last, expected, rtol=1e-3, atol=1e-3)
            num_ends += 1
    assert num_ends >= 8
