"""The task of learning by reinforcement: which environment, with what physics, by which algorithm.

Axes: `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal

from hpo_env.tasks.base import Task
from hpo_env.tasks.reinforcement.dqn import LEARNING_STARTS, MOST_KEPT
from hpo_env.tasks.reinforcement.environments.base import Environment
from hpo_env.tasks.reinforcement.environments.registry import TYPE
from hpo_env.tasks.reinforcement.facts import Facts

Algorithm = Literal["ppo", "a2c", "dqn"]


@dataclass(frozen=True, kw_only=True)
class ReinforcementTask(Task):
    """An agent of Stable-Baselines3's making, small enough to run many at once.

    Args:
        environment: Name of the type; the task is called by it, too.
        physics: Which of the type's physics.
        algorithm: "ppo", "a2c" or "dqn".
        hidden: Units of each of the two hidden layers, 32 or 64: of tanh in actor and critic,
            rectified in the nets of DQN.
        num_envs: Environments side by side.
        num_steps: Steps of each in a rollout; of DQN, which learns all the while, in an interval.
        rollouts_per_decision: Rollouts in an interval, of DQN one.
        normalises: Whether observations and rewards are normalised as `VecNormalize` does by
            default.
        stretch: Steps of the learner that make one step of the environment: of their actions one,
            drawn by chance, counts, and the last is paid for all. Episodes are so many times as
            long and consequences so many steps off, while best and random returns stay.
    """

    environment: str
    physics: str
    algorithm: Algorithm
    hidden: int
    num_envs: int
    num_steps: int
    rollouts_per_decision: int
    normalises: bool
    stretch: int = 1

    @property
    def labels(self) -> Mapping[str, str]:
        """The algorithm, and whether it sees normalised numbers."""
        seen = "normalised" if self.normalises else "raw"
        return {"algorithm": self.algorithm, "observations": seen}

    @property
    def alike(self) -> Hashable:
        """Lanes are independent: all tasks are alike."""
        return ()

    @property
    def rules(self) -> type[Environment]:
        """The rules of the environment."""
        return TYPE[self.environment].rules

    @property
    def numbers(self) -> tuple[float, ...]:
        """The physics."""
        return TYPE[self.environment].physics[self.physics]

    @property
    def facts(self) -> Facts:
        """What a run of it knows of itself."""
        rules = self.rules
        return Facts(
            algorithm=self.algorithm,
            num_actions=rules.num_outputs if rules.is_discrete else 0,
            action_size=0 if rules.is_discrete else rules.num_outputs,
            observation_size=rules.observation_size,
            num_envs=self.num_envs,
            num_steps=self.num_steps,
            rollouts_per_decision=self.rollouts_per_decision,
        )

    @property
    def num_updates(self) -> int:
        """Rollouts that are learned from in the whole run, as `learn(total_steps)` makes them."""
        return self.num_decisions * self.rollouts_per_decision

    @property
    def total_steps(self) -> int:
        """`total_timesteps` of `learn()`."""
        first = LEARNING_STARTS if self.algorithm == "dqn" else 0
        return first + self.num_updates * self.num_envs * self.num_steps

    @property
    def buffer_size(self) -> int:
        """Steps that DQN replays from, all environments together; 0 for others."""
        return min(self.total_steps, MOST_KEPT) if self.algorithm == "dqn" else 0
