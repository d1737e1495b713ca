"""What a learner can be told: a frozen record of settings a kind of learner, checked when made.

A setting that is `None` follows from others: `fitted` fills it in once the number of lanes is
known. Defaults are our values for HPOControl-v0; a family may have others of its own
(`TaskFamily.agent_settings`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

from hpo_env.errors import ConfigurationError
from hpo_env.tasks.base import check_choice

Critic = Literal["task", "observation"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every kind of settings is; alone, it stands for the agent's own.

    A field that is a list in JSON is a tuple here.

    Raises:
        ConfigurationError: A number is out of range.
    """

    at_least: ClassVar[Mapping[str, float]] = {}
    """The lowest value of a setting."""

    positive: ClassVar[tuple[str, ...]] = ()
    """Settings above 0, and finite."""

    up_to_one: ClassVar[tuple[str, ...]] = ()
    """Settings in `[0, 1]`."""

    def __post_init__(self) -> None:
        """Check every number that was given."""
        for name, lowest in self.at_least.items():
            check_at_least(name, getattr(self, name), lowest)
        for name in self.up_to_one:
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise ConfigurationError(f"{name} must lie in [0, 1]; got {value}")
        for name in self.positive:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0.0):
                raise ConfigurationError(f"{name} must be positive and finite; got {value}")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Name the settings, in order."""
        return tuple(f.name for f in fields(cls))

    def to_json(self) -> dict[str, Any]:
        """Describe the settings in plain data."""
        return asdict(self)

    def rollout_steps(self, num_envs: int) -> int:
        """Return the environment steps that learning goes on by: budgets are multiples of it."""
        return num_envs

    def fitted(self, num_envs: int) -> Self:
        """Return the settings with what follows from the number of lanes filled in.

        Raises:
            ConfigurationError: The number of lanes does not suit the settings.
        """
        return self


def check_at_least(name: str, value: float | None, lowest: float) -> None:
    """Check a number that may be left out.

    Raises:
        ConfigurationError: It is lower, or not finite.
    """
    if value is not None and not (math.isfinite(value) and value >= lowest):
        raise ConfigurationError(f"{name} must be at least {lowest}; got {value}")


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Settings):
    """What all agents of Stable-Baselines3 are told.

    Args:
        learning_rate: The agent's learning rate at the start; it falls linearly to nearly 0, which
            calms the policy down before the end.
        gamma: Discount of the agent, in [0, 1]. 1 because what counts is the loss at the end of a
            run of known length.
        net_arch: Width of each hidden layer of the agent's networks.
    """

    learning_rate: float
    gamma: float = 1.0
    net_arch: tuple[int, ...] = (64, 64)

    positive: ClassVar[tuple[str, ...]] = ("learning_rate",)
    up_to_one: ClassVar[tuple[str, ...]] = ("gamma",)

    def __post_init__(self) -> None:
        """Check every number that was given."""
        super().__post_init__()
        if not (self.net_arch and min(self.net_arch) >= 1):
            raise ConfigurationError(
                f"net_arch must name the width of at least one layer; got {self.net_arch}"
            )


@dataclass(frozen=True, kw_only=True)
class PolicyGradientSettings(NetworkSettings):
    """What agents are told that learn from rollouts of their own policy.

    Args:
        n_steps: Steps in each lane between two updates of the agent.
        gae_lambda: Weight of longer returns in the advantage estimate, in [0, 1].
        ent_coef: Weight of the entropy bonus, which keeps exploration up.
    """

    n_steps: int
    gae_lambda: float = 0.95
    ent_coef: float = 0.002

    at_least: ClassVar[Mapping[str, float]] = {"n_steps": 1, "ent_coef": 0}
    up_to_one: ClassVar[tuple[str, ...]] = ("gamma", "gae_lambda")

    def rollout_steps(self, num_envs: int) -> int:
        """Return the steps of a rollout."""
        return num_envs * self.n_steps


@dataclass(frozen=True, kw_only=True)
class A2CSettings(PolicyGradientSettings):
    """Settings of A2C.

    Args:
        critic: What the value network sees: observation, or task, which adds what the task is, in
            training only. The returns of tasks differ by far more than policies make them differ;
            a critic that knows the task keeps that out of the advantages.
    """

    learning_rate: float = 1e-3
    n_steps: int = 10
    critic: str = "task"

    def __post_init__(self) -> None:
        """Check every number and name that was given."""
        super().__post_init__()
        check_choice("critic", self.critic, Critic)


@dataclass(frozen=True, kw_only=True)
class ClippedSettings(PolicyGradientSettings):
    """What the agents of the PPO kind are told.

    Args:
        batch_size: Transitions in a minibatch of the agent's update; must divide
            `n_steps * num_envs`. Not given: the divisor nearest to 512.
        n_epochs: Passes over each rollout.
        clip_range: How far the probability ratio may move in an update.
        target_kl: Passes over a rollout end when the policy has moved by one and a half times this
            Kullback-Leibler divergence, in nats; None: never.
        critic_steps: Environment steps at the start in which the critic learns alone, at four times
            the rate. For an actor that begins with what it knows, beside a critic that does not.
    """

    learning_rate: float = 2.5e-3
    batch_size: int | None = None
    n_epochs: int
    clip_range: float = 0.2
    target_kl: float | None = None
    critic_steps: int = 0

    # Advantages of a single transition cannot be normalised.
    at_least: ClassVar[Mapping[str, float]] = {
        "n_steps": 1,
        "ent_coef": 0,
        "batch_size": 2,
        "n_epochs": 1,
        "critic_steps": 0,
    }
    positive: ClassVar[tuple[str, ...]] = ("learning_rate", "clip_range", "target_kl")

    def fitted(self, num_envs: int) -> Self:
        """Return the settings with a batch size that divides the rollout."""
        rollout = self.rollout_steps(num_envs)
        if self.batch_size is None:
            return replace(self, batch_size=divisor_near(rollout, _USUAL_BATCH))
        if rollout % self.batch_size:
            raise ConfigurationError(
                f"batch_size must divide n_steps * num_envs = {rollout}; got {self.batch_size}, "
                f"the nearest that does is {divisor_near(rollout, self.batch_size)}"
            )
        return self


@dataclass(frozen=True, kw_only=True)
class PPOSettings(ClippedSettings):
    """Settings of PPO.

    Args:
        critic: What the value network sees: observation, or task, which adds what the task is, in
            training only. The returns of tasks differ by far more than policies make them differ;
            a critic that knows the task keeps that out of the advantages.
    """

    n_steps: int = 20
    n_epochs: int = 8
    critic: str = "task"

    def __post_init__(self) -> None:
        """Check every number and name that was given."""
        super().__post_init__()
        check_choice("critic", self.critic, Critic)


@dataclass(frozen=True, kw_only=True)
class RecurrentPPOSettings(ClippedSettings):
    """Settings of RecurrentPPO, PPO with a memory."""

    n_steps: int = 40
    n_epochs: int = 4


@dataclass(frozen=True, kw_only=True)
class OffPolicySettings(NetworkSettings):
    """Settings of the agents that learn from a replay buffer.

    Args:
        batch_size: Transitions in a minibatch of the agent's update.
        buffer_size: Transitions that the replay buffer holds.
        learning_starts: Environment steps taken at random before learning.
        gradient_steps: Updates of the agent after each step of all lanes.
    """

    learning_rate: float = 1e-3
    batch_size: int = 512
    buffer_size: int = 200_000
    learning_starts: int = 5_000
    gradient_steps: int = 8

    at_least: ClassVar[Mapping[str, float]] = {
        "batch_size": 2,
        "buffer_size": 1,
        "learning_starts": 0,
        "gradient_steps": 1,
    }


@dataclass(frozen=True, kw_only=True)
class DQNSettings(OffPolicySettings):
    """Settings of DQN: those of `OffPolicySettings`, at half the learning rate."""

    learning_rate: float = 5e-4


@dataclass(frozen=True, kw_only=True)
class ARSSettings(Settings):
    """Settings of augmented random search.

    Args:
        learning_rate: Length of a step of the weights at the start; it falls linearly to nearly 0.
        noise: Standard deviation of the directions that are tried.
        top_share: Share of the directions, the best ones, that a step follows, in (0, 1].
    """

    learning_rate: float = 0.1
    noise: float = 0.1
    top_share: float = 0.5

    positive: ClassVar[tuple[str, ...]] = ("learning_rate", "noise", "top_share")
    up_to_one: ClassVar[tuple[str, ...]] = ("top_share",)

    def fitted(self, num_envs: int) -> Self:
        """Check that the lanes can be paired."""
        if num_envs % 2:
            raise ConfigurationError(
                "ars tries every direction forwards and backwards in two lanes, so num_envs must "
                f"be even; got {num_envs}"
            )
        return self


_USUAL_BATCH = 512


def divisor_near(number: int, wanted: int) -> int:
    """Return the divisor of `number` (2 or more where there is one) nearest to `wanted`."""
    divisors = [d for d in range(1, number + 1) if number % d == 0 and d >= min(2, number)]
    return min(divisors, key=lambda d: abs(math.log(d / wanted)))
