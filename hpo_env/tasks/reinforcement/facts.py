"""What a run knows of itself from the start."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Integral

from hpo_env.errors import ConfigurationError

UNIT_GAUSSIAN_ENTROPY = 0.5 * math.log(2.0 * math.pi * math.e)
"""Entropy of one dimension of a Gaussian policy as it is at the start."""

DISCRETE, CONTINUOUS = "ppo, discrete", "ppo, continuous"
"""Kinds of problem: what PPO acts by."""


_OF_ACTIONS = ("num_actions", "action_size")


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

    Raises:
        ConfigurationError: One of them cannot be so.
    """

    algorithm: str
    num_actions: int
    action_size: int
    observation_size: int
    num_envs: int
    num_steps: int
    rollouts_per_decision: int

    def __post_init__(self) -> None:
        """Check what somebody has written by hand."""
        algorithm = self.algorithm
        if not isinstance(algorithm, str) or not algorithm or algorithm != algorithm.lower():
            raise ConfigurationError(
                f"algorithm must be a name in small letters, such as 'ppo'; got {algorithm!r}"
            )
        counts = {field.name: getattr(self, field.name) for field in fields(self)}
        del counts["algorithm"]
        for name, count in counts.items():
            least = 0 if name in _OF_ACTIONS else 1
            is_whole = isinstance(count, Integral) and not isinstance(count, bool)
            if not (is_whole and int(count) >= least):
                raise ConfigurationError(
                    f"{name} must be a whole number from {least} on; got {count!r:.60}"
                )
        if (self.num_actions == 0) == (self.action_size == 0):
            raise ConfigurationError(
                "num_actions is of a discrete action space, action_size of a continuous one, and "
                f"the other must be 0; got num_actions={self.num_actions!r:.60} and "
                f"action_size={self.action_size!r}"
            )

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
            return math.log(int(self.num_actions))
        return self.action_size * UNIT_GAUSSIAN_ENTROPY
