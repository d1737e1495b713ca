"""The TensorBoard tags that we write: the one table that the README's glossary shows.

Nothing else names a tag. `{…}` stands for a hyperparameter, a data set, a third or a quantile.
The horizontal axis is environment steps in a meta-training's own curves, updates of the inner model
in single runs, and per cent of the run in `schedules/`.
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
RETURN_QUANTILE = "rollout/episode_return_{quantile}"
LENGTH = "rollout/episode_length"
ROLLED_BACK = "rollout/rolled_back_share"
SCORE = "meta_validation/score"
BEST_SCORE = "meta_validation/best_score"
VALIDATION_ROLLED_BACK = "meta_validation/rolled_back_share"
FINAL_LOSS = "meta_validation/final_loss/{dataset}"
QUANTILE = "hyperparameters/{hyperparameter}/{quantile}"
BY_THIRD = "hyperparameters/{hyperparameter}/median_{third}_third"
ACTION_MEAN = "actions/{hyperparameter}/mean"
ACTION_SATURATION = "actions/{hyperparameter}/saturated_share"
ACTION_HISTOGRAM = "actions/{hyperparameter}/moves_{third}_third_of_training"
RUN_VALUE = "hyperparameters/{hyperparameter}"
RUN_MOVE = "decisions/{hyperparameter}"
RUN_MEASURED = "intervals/{measurement}"
SCHEDULE_QUANTILE = "schedules/{hyperparameter}/{quantile}"
SCHEDULE_LOSS = "schedules/loss_change/{quantile}"
EVALUATION_LOSS = "evaluation/mean_log_test_loss"
EVALUATION_GAIN = "evaluation/gain_over_{method}"
EVALUATION_DIVERGED = "evaluation/diverged_share"
FIGURE = "figures/{figure}"
TEXT = "run/{text}"
PROJECTOR = "tasks"
STEPS_PER_SECOND = "throughput/env_steps_per_second"
ENV_SHARE = "throughput/env_time_share"

_ON_POLICY = "ppo, a2c, recurrent_ppo"
_PPO = "ppo, recurrent_ppo"
_OFF_POLICY = "sac, td3, tqc"
_BY_QUERY = "algorithms maml, first_order_maml, imaml, meta_sgd"

TAGS: tuple[Tag, ...] = (
    Tag(
        name=RETURN,
        meaning="Fall of the log validation loss from start to end of an inner run, mean over the "
        "episodes that ended since the last point, with exploration",
        unit="log loss",
    ),
    Tag(
        name=RETURN_QUANTILE,
        meaning="The same as a band over tasks: median, and 10 % and 90 % quantile (p10, p90)",
        unit="log loss",
    ),
    Tag(name=LENGTH, meaning="Mean length of the episodes that ended", unit="decisions"),
    Tag(
        name=ROLLED_BACK,
        meaning="Share of the intervals that failed, and that the guard took back",
        unit="0 to 1",
    ),
    Tag(
        name=SCORE,
        meaning="Mean return on the fixed validation tasks, without exploration; the checkpoint "
        "with the highest is exported",
        unit="log loss",
    ),
    Tag(name=BEST_SCORE, meaning="Highest score so far", unit="log loss"),
    Tag(
        name=VALIDATION_ROLLED_BACK,
        meaning="The same on validation tasks, without exploration",
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
        name=ACTION_HISTOGRAM,
        meaning="How often each move was made, a histogram a segment; one panel for each third of "
        "the meta-training",
        unit="histogram",
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
        name="train/query_loss",
        meaning="Loss of the adapted policies on what they went through, mean over a round's data "
        "sets and steps",
        unit="1",
        agents=_BY_QUERY,
    ),
    Tag(
        name="train/adaptation_distance",
        meaning="Euclidean distance from the initial weights to the mean of the adapted ones",
        unit="1",
        agents="algorithm reptile",
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
    Tag(
        name=RUN_VALUE,
        meaning="The value in force in one run: a user's, or a held-out task of a meta-training",
        unit="the hyperparameter's own",
        agents="single runs",
    ),
    Tag(
        name=RUN_MOVE,
        meaning="The move that was decided; 0 keeps the base schedule's course. "
        "`decisions/guard` is 1 where a divergence, and not the policy, decided; `decisions/trust` "
        "is below 1 where what it saw was foreign, and the base schedule gets the rest; 0 where "
        "the policy does not know the kind of run",
        unit="-1 to 1",
        agents="single runs",
    ),
    Tag(
        name=RUN_MEASURED,
        meaning="What an interval measured: losses, gradient norms, displacement",
        unit="the measurement's own",
        agents="single runs",
    ),
    Tag(
        name=SCHEDULE_QUANTILE,
        meaning="Effective value over the run's course: median, p10 and p90 over held-out tasks, "
        "one run of TensorBoard a method",
        unit="the hyperparameter's own",
        agents="evaluations",
    ),
    Tag(
        name=SCHEDULE_LOSS,
        meaning="Log validation loss less that at the start: median, p10 and p90 over held-out "
        "tasks",
        unit="log loss",
        agents="evaluations",
    ),
    Tag(
        name=EVALUATION_LOSS,
        meaning="Mean log test loss of a method; lower is better",
        unit="log loss",
        agents="evaluations",
    ),
    Tag(
        name=EVALUATION_GAIN,
        meaning="Mean log test loss of another method less the controller's; above 0 the "
        "controller did better",
        unit="log loss",
        agents="evaluations",
    ),
    Tag(
        name=EVALUATION_DIVERGED,
        meaning="Share of the held-out runs that diverged",
        unit="0 to 1",
        agents="evaluations",
    ),
    Tag(
        name=FIGURE,
        meaning="Pictures of the closing analysis; also as PNG and SVG in `figures/`",
        unit="image",
        agents="all, evaluations",
    ),
    Tag(
        name=TEXT,
        meaning="Configuration, command line and the policy's card",
        unit="text",
        agents="all, evaluations",
    ),
    Tag(
        name=PROJECTOR,
        meaning="Held-out tasks, placed by their telemetry under the base schedule; colour by "
        "family, task, gain or the tasks' labels",
        unit="projector",
        agents="all, evaluations",
    ),
)
