"""The TensorBoard tags that a meta-training writes: the one table that the README's glossary shows.

Nothing else names a tag. `{…}` stands for a hyperparameter, a data set or a third of the episode.
The horizontal axis is environment steps.
"""

from __future__ import annotations

from dataclasses import dataclass

THIRDS = ("first", "middle", "last")
"""Names of the thirds of an episode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A curve.

    Args:
        name: Its tag; a template where it has `{…}`.
        meaning: What it shows.
        unit: Its unit.
        agents: Who writes it; empty for all.
    """

    name: str
    meaning: str
    unit: str
    agents: str = ""


RETURN = "rollout/episode_return"
LENGTH = "rollout/episode_length"
DIVERGED = "rollout/diverged_share"
SCORE = "meta_validation/score"
BEST_SCORE = "meta_validation/best_score"
VALIDATION_DIVERGED = "meta_validation/diverged_share"
FINAL_LOSS = "meta_validation/final_loss/{dataset}"
QUANTILE = "hyperparameters/{hyperparameter}/{quantile}"
BY_THIRD = "hyperparameters/{hyperparameter}/median_{third}_third"
ACTION_MEAN = "actions/{hyperparameter}/mean"
ACTION_SATURATION = "actions/{hyperparameter}/saturated_share"
STEPS_PER_SECOND = "throughput/env_steps_per_second"
ENV_SHARE = "throughput/env_time_share"

_ON_POLICY = "ppo, a2c, recurrent_ppo"
_PPO = "ppo, recurrent_ppo"
_OFF_POLICY = "sac, td3, tqc"

TAGS: tuple[Tag, ...] = (
    Tag(
        name=RETURN,
        meaning="Fall of the log validation loss from start to end of an inner run, mean over the "
        "episodes that ended since the last point, with exploration",
        unit="log loss",
    ),
    Tag(name=LENGTH, meaning="Mean length of the episodes that ended", unit="decisions"),
    Tag(name=DIVERGED, meaning="Share of the episodes that ended by divergence", unit="0 to 1"),
    Tag(
        name=SCORE,
        meaning="Mean return on the fixed validation tasks, without exploration; the checkpoint "
        "with the highest is exported",
        unit="log loss",
    ),
    Tag(name=BEST_SCORE, meaning="Highest score so far", unit="log loss"),
    Tag(
        name=VALIDATION_DIVERGED,
        meaning="Share of the validation episodes that diverged",
        unit="0 to 1",
    ),
    Tag(
        name=FINAL_LOSS,
        meaning="Validation loss at the end of the inner runs on one data set, geometric mean",
        unit="loss",
    ),
    Tag(
        name=QUANTILE,
        meaning="Effective value over all lanes and steps since the last point: median, and 10 % "
        "and 90 % quantile (p10, p90)",
        unit="the hyperparameter's own",
    ),
    Tag(
        name=BY_THIRD,
        meaning="Median effective value in the first, middle and last third of the episodes: the "
        "learned schedule in three numbers",
        unit="the hyperparameter's own",
    ),
    Tag(
        name=ACTION_MEAN,
        meaning="Mean action; 0 keeps the base schedule's course",
        unit="-1 to 1",
    ),
    Tag(
        name=ACTION_SATURATION,
        meaning="Share of actions at either end of their range; near 1 the agent wants to move "
        "faster than it may",
        unit="0 to 1",
    ),
    Tag(
        name=STEPS_PER_SECOND,
        meaning="Environment steps a second, agent's updates included",
        unit="1/s",
    ),
    Tag(name=ENV_SHARE, meaning="Share of the time spent in the environment", unit="0 to 1"),
    Tag(name="train/learning_rate", meaning="The agent's learning rate", unit="1"),
    Tag(
        name="train/approx_kl",
        meaning="KL divergence between the policy before and after an update; above 0.05 the steps "
        "are too large",
        unit="nat",
        agents=_PPO,
    ),
    Tag(
        name="train/clip_fraction",
        meaning="Share of transitions whose probability ratio was clipped",
        unit="0 to 1",
        agents=_PPO,
    ),
    Tag(name="train/clip_range", meaning="The clip range in force", unit="1", agents=_PPO),
    Tag(
        name="train/entropy_loss",
        meaning="Minus the mean entropy of the policy; rises towards 0 as the policy makes up its "
        "mind",
        unit="nat",
        agents=_ON_POLICY,
    ),
    Tag(
        name="train/explained_variance",
        meaning="Share of the returns' variance that the value network explains; below 0 it is "
        "worse than a constant",
        unit="up to 1",
        agents=_ON_POLICY,
    ),
    Tag(
        name="train/policy_gradient_loss",
        meaning="Loss of the policy",
        unit="1",
        agents=_PPO,
    ),
    Tag(name="train/policy_loss", meaning="Loss of the policy", unit="1", agents="a2c"),
    Tag(
        name="train/value_loss",
        meaning="Mean squared error of the value network",
        unit="log loss squared",
        agents=_ON_POLICY,
    ),
    Tag(
        name="train/loss",
        meaning="The whole loss of the last minibatch",
        unit="1",
        agents="ppo, dqn, recurrent_ppo",
    ),
    Tag(
        name="train/std",
        meaning="Standard deviation of the Gaussian policy (continuous actions)",
        unit="actions",
        agents=_ON_POLICY,
    ),
    Tag(name="train/actor_loss", meaning="Loss of the policy", unit="1", agents=_OFF_POLICY),
    Tag(name="train/critic_loss", meaning="Loss of the Q-networks", unit="1", agents=_OFF_POLICY),
    Tag(
        name="train/ent_coef", meaning="Learned weight of the entropy", unit="1", agents="sac, tqc"
    ),
    Tag(name="train/ent_coef_loss", meaning="Loss of that weight", unit="1", agents="sac, tqc"),
    Tag(
        name="rollout/exploration_rate",
        meaning="Share of random actions",
        unit="0 to 1",
        agents="dqn",
    ),
)
