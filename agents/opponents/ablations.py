"""The controller, and moves drawn at random in its place: both act in the environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo_env.hyperparameters import LEVELS
from hpo_env.vector_env import HPOControlVectorEnv

from .base import Instance, Opponent, Setup
from .in_environment import Act, InEnvironment


@dataclass(frozen=True, kw_only=True)
class PolicyOpponent(InEnvironment):
    """The policy; it acts without randomness."""

    def start(self, env: HPOControlVectorEnv, instances: Sequence[Instance]) -> Act:
        """Let the policy act."""
        return self.policy.actor(env.num_envs)


@dataclass(frozen=True, kw_only=True)
class RandomMoves(InEnvironment):
    """Moves drawn evenly from the discrete levels: what a policy that learned nothing does."""

    def start(self, env: HPOControlVectorEnv, instances: Sequence[Instance]) -> Act:
        """Begin a stream of draws for each lane, whatever runs beside it."""
        rngs = [instance.rng("random moves") for instance in instances]
        width = len(env.controlled)
        return lambda observations: np.array([rng.choice(LEVELS, width) for rng in rngs])


def controller(name: str, setup: Setup) -> Opponent:
    """The setup's policy in its environment."""
    return PolicyOpponent(name=name, policy=setup.policy)


def random_moves(name: str, setup: Setup) -> Opponent:
    """Random moves of what the setup's policy moves, on its base schedule."""
    return RandomMoves(name=name, policy=setup.policy)
