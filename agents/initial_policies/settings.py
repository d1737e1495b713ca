"""What all algorithms of this folder are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from hpo_env.errors import ConfigurationError
from hpo_env.tasks.base import check_choice

from ..learners.settings import Critic, PolicyGradientSettings, divisor_near

_USUAL_GROUP = 16


@dataclass(frozen=True, kw_only=True)
class InitialPolicySettings(PolicyGradientSettings):
    """Rollouts, data sets and the inner loop.

    Args:
        critic: What the value network sees: observation, or task, which adds what the task is, in
            training only.
        clip_range: How far the probability ratio may move in an update.
        lanes_per_data_set: Lanes that train on one data set, each data set having a policy of its
            own while it is adapted to; must divide `num_envs`. Not given: the divisor nearest
            to 16.
        inner_rollouts: Rollouts that are adapted to, one after the other, in a round.
        rounds: Rounds on the same data sets; each begins at the initial policy again, while runs
            go on.
        inner_rate: Learning rate of the updates that adapt.
    """

    n_steps: int = 20
    critic: str = "task"
    clip_range: float = 0.2
    lanes_per_data_set: int | None = None
    inner_rollouts: int = 1
    rounds: int = 3
    inner_rate: float

    positive: ClassVar[tuple[str, ...]] = ("learning_rate", "clip_range", "inner_rate")
    at_least: ClassVar[Mapping[str, float]] = {
        "n_steps": 2,
        "ent_coef": 0,
        "lanes_per_data_set": 1,
        "inner_rollouts": 1,
        "rounds": 1,
    }
    is_asked_after: ClassVar[bool] = True
    """Whether a round ends with a rollout of the adapted policies."""

    def __post_init__(self) -> None:
        """Check every number and name that was given."""
        super().__post_init__()
        check_choice("critic", self.critic, Critic)

    def rollout_steps(self, num_envs: int) -> int:
        """Return the steps of a round."""
        return num_envs * self.n_steps * (self.inner_rollouts + self.is_asked_after)

    def fitted(self, num_envs: int) -> Self:
        """Return the settings with groups of lanes that fill the environment."""
        size = self.lanes_per_data_set
        if size is None:
            return replace(self, lanes_per_data_set=divisor_near(num_envs, _USUAL_GROUP))
        if num_envs % size:
            raise ConfigurationError(
                f"lanes_per_data_set must divide num_envs = {num_envs}; got {size}, the nearest "
                f"that does is {divisor_near(num_envs, size)}"
            )
        return self


@dataclass(frozen=True, kw_only=True)
class QuerySettings(InitialPolicySettings):
    """The same, with an outer loop that descends on what the adapted policies go through.

    Args:
        learning_rate: Of Adam in the outer loop at the start; it falls linearly to nearly 0.
        n_epochs: Passes over a round's data sets.
        data_sets_per_step: Data sets of a step of the outer loop.
    """

    learning_rate: float = 2.5e-3
    inner_rate: float = 0.1
    n_epochs: int = 8
    data_sets_per_step: int = 2

    at_least: ClassVar[Mapping[str, float]] = {
        **InitialPolicySettings.at_least,
        "n_epochs": 1,
        "data_sets_per_step": 1,
    }
