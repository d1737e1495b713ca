"""What an agent does without randomness: the moves that a policy file answers with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space
from sb3_contrib import RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC

from agents.learners.moves import deterministic_moves
from hpo_env.hyperparameters import LEVELS
from tests.agents.learners.test_extraction import Blank, Lanes

PAIR = MultiDiscrete([5, 5])
WIDTH = Blank(PAIR, Lanes()).observation_space.shape[0]  # type: ignore[index]
OBSERVATIONS = np.random.default_rng(3).uniform(-1, 1, (40, WIDTH)).astype(np.float32)


def agent(cls: Any, space: Space[Any], policy: str = "MlpPolicy", **options: Any) -> Any:
    made = cls(policy, Blank(space, Lanes()), seed=0, device="cpu", **options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.policy.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


@pytest.mark.parametrize("cls", [PPO, A2C])
def test_an_agent_of_choices_makes_the_move_it_makes_on_average(cls: Any) -> None:
    made = agent(cls, PAIR)
    moves, state = deterministic_moves(made, OBSERVATIONS, 2)
    assert moves.shape == (40, 2)
    assert state is None
    drawn = [LEVELS[made.predict(OBSERVATIONS, deterministic=False)[0]] for _ in range(4000)]
    np.testing.assert_allclose(moves, np.mean(drawn, axis=0), atol=0.06)  # five standard errors


def test_joint_choices_are_split() -> None:
    made = agent(DQN, Discrete(25), buffer_size=10)
    moves, _ = deterministic_moves(made, OBSERVATIONS, 2)
    chosen, _ = made.predict(OBSERVATIONS, deterministic=True)
    np.testing.assert_array_equal(moves, LEVELS[np.stack([chosen // 5, chosen % 5], axis=1)])


def test_continuous_moves_are_the_agents_own() -> None:
    made = agent(SAC, Box(-1.0, 1.0, (2,)), buffer_size=10)
    moves, _ = deterministic_moves(made, OBSERVATIONS, 2)
    np.testing.assert_allclose(moves, made.predict(OBSERVATIONS, deterministic=True)[0], atol=1e-6)


def test_a_recurrent_agent_keeps_its_memory() -> None:
    made = agent(RecurrentPPO, PAIR, "MlpLstmPolicy", n_steps=8)
    starts = np.ones(40, dtype=bool)
    first, state = deterministic_moves(made, OBSERVATIONS, 2, state=None, starts=starts)
    assert set(np.unique(first)) <= set(LEVELS)
    later, _ = deterministic_moves(made, OBSERVATIONS, 2, state=state, starts=~starts)
    again, _ = deterministic_moves(made, OBSERVATIONS, 2, state=state, starts=starts)
    np.testing.assert_array_equal(again, first)  # an episode's start forgets
    assert (later != first).any()
