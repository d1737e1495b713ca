"""What a run knows of itself from the start."""

from __future__ import annotations

import math
from dataclasses import dataclass

UNIT_GAUSSIAN_ENTROPY = 0.5 * math.log(2.0 * math.pi * math.e)
"""Entropy of one dimension of a Gaussian policy as it is at the start."""

DISCRETE, CONTINUOUS = "ppo, discrete", "ppo, continuous"
"""Kinds of problem: what PPO acts by."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a run knows of itself from the start.

    Args:
        algorithm: "ppo" or "a2c", or the name of another, which no policy of ours knows.
        num_actions: Of a discrete action space; 0 for a continuous one.
        action_size: Dimensions of a continuous action space; 0 for a discrete one.
        observation_size: Numbers in an observation.
        num_envs: Environments side by side.
        num_steps: Steps of each in a rollout.
        rollouts_per_decision: Rollouts in an interval.
    """

    algorithm: str
    num_actions: int
    action_size: int
    observation_size: int
    num_envs: int
    num_steps: int
    rollouts_per_decision: int

    @property
    def kind(self) -> str:
        """What a learned start goes by: the algorithm, and of PPO the kind of its actions."""
        if self.algorithm != "ppo":
            return self.algorithm
        return DISCRETE if self.num_actions else CONTINUOUS

    @property
    def entropy_of_start(self) -> float:
        """Entropy of the policy before it has learned anything, roughly."""
        if self.num_actions:
            return math.log(self.num_actions)
        return self.action_size * UNIT_GAUSSIAN_ENTROPY
