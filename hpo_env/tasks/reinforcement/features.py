"""The entries of the observation that a policy-gradient learner has, in training and deployment.

They are made of `measures` and of facts that a run knows of itself, without any scale of returns:
changes of the return are told against the range that this run has seen and against their standard
error. What the best possible return is, a user's run cannot know, so nothing here does.
`learning_curve` remembers what they are computed from.

Axes: `n` lanes, `F` features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST = 1e-8
"""Below this, a spread is taken for this."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Now:
    """All that a feature is computed from, by name, every entry `[n]`.

    Args:
        measures: Of the last interval; see `measures`.
        before: Of the one before.
        memory: Of `learning_curve`.
        facts: Of the run.
        values: Hyperparameters in force during the last interval.
    """

    measures: Mapping[str, Array]
    before: Mapping[str, Array]
    memory: Mapping[str, Array]
    facts: Mapping[str, Array]
    values: Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class _Feature:
    name: str
    doc: str
    compute: Callable[[Now], Array]
    scale: float | None = None  # the value that becomes tanh(1); None where [-1, 1] bounds it


def _log(values: Array) -> Array:
    return np.asarray(np.log(np.maximum(values, LEAST)), dtype=np.float64)


def _known(values: Array) -> Array:
    return 2.0 * np.isfinite(values) - 1.0


def _range(now: Now) -> Array:
    """Best less worst return so far, and at least what chance makes of it `[N]`."""
    memory = now.memory
    spread = np.nan_to_num(memory["best"] - memory["worst"])
    return np.asarray(spread + np.nan_to_num(memory["error"]) + LEAST)


def _change(now: Now) -> Array:
    return np.asarray(now.memory["latest"] - now.memory["latest_before"])


def _entropy_share(measures: Mapping[str, Array], facts: Mapping[str, Array]) -> Array:
    """Entropy as a share of the start's where actions are discrete; NaN elsewhere `[N]`."""
    start = np.where(facts["is_discrete"] > 0, facts["entropy_of_start"], np.nan)
    return np.asarray(measures["entropy"] / start)


def _entropy_distance(measures: Mapping[str, Array], facts: Mapping[str, Array]) -> Array:
    """Entropy less the start's for each dimension of a continuous action; NaN elsewhere `[N]`."""
    size = np.where(facts["is_discrete"] > 0, np.nan, facts["action_size"])
    return np.asarray((measures["entropy"] - facts["entropy_of_start"]) / size)


_TABLE: tuple[_Feature, ...] = (
    _Feature(
        name="has_episodes",
        doc="1 when an episode ended in the interval, -1 when not",
        compute=lambda now: np.where(now.measures["num_episodes"] > 0, 1.0, -1.0),
    ),
    _Feature(
        name="has_learned",
        doc="1 when updates were measured, -1 before the first and where none is",
        compute=lambda now: _known(now.measures["value_loss"]),
    ),
    _Feature(
        name="num_episodes",
        doc="Logarithm of the episodes that ended in the interval, 0 at 10",
        compute=lambda now: np.log1p(now.measures["num_episodes"]) - math.log(11.0),
        scale=2.0,
    ),
    _Feature(
        name="episode_length",
        doc="Logarithm of the mean length of episodes, 0 at 100 steps",
        compute=lambda now: _log(now.memory["length"]) - math.log(100.0),
        scale=2.0,
    ),
    _Feature(
        name="truncated_share",
        doc="Share of the episodes that a time limit ended, from -1 for none to 1 for all",
        compute=lambda now: 2.0 * now.measures["truncated_share"] - 1.0,
    ),
    _Feature(
        name="return_change",
        doc="Change of the mean return over the range of returns so far",
        compute=lambda now: _change(now) / _range(now),
        scale=0.5,
    ),
    _Feature(
        name="return_significance",
        doc="Change of the mean return over its standard error",
        compute=lambda now: (
            _change(now) / np.hypot(now.memory["error"], now.memory["error_before"]).clip(LEAST)
        ),
        scale=3.0,
    ),
    _Feature(
        name="return_below_best",
        doc="Where the mean return lies in the range so far: 1 at the best, -1 at the worst",
        compute=lambda now: np.clip(
            1.0 - 2.0 * (now.memory["best"] - now.memory["latest"]) / _range(now), -1.0, 1.0
        ),
    ),
    _Feature(
        name="return_trend",
        doc="Exponential average of the changes of the mean return, each over the range so far",
        compute=lambda now: now.memory["trend"],
        scale=0.3,
    ),
    _Feature(
        name="return_range",
        doc="Logarithm of the range of mean returns so far over a standard error, 0 at 3",
        compute=lambda now: (
            _log(now.memory["best"] - now.memory["worst"])
            - _log(now.memory["error"].clip(LEAST))
            - math.log(3.0)
        ),
        scale=2.0,
    ),
    _Feature(
        name="return_spread",
        doc="Logarithm of the spread of an interval's returns over the range of their means so far",
        compute=lambda now: _log(now.measures["episode_return_spread"]) - _log(_range(now)),
        scale=2.0,
    ),
    _Feature(
        name="intervals_since_best",
        doc="Logarithm of the intervals since the best mean return, -1 when it was the last",
        compute=lambda now: np.minimum(np.log1p(now.memory["since_best"]) / 1.5 - 1.0, 1.0),
    ),
    _Feature(
        name="reward_spread",
        doc="Logarithm of the spread of rewards over their mean size, 0 where they are equal",
        compute=lambda now: (
            _log(now.measures["reward_spread"]) - _log(np.abs(now.measures["reward_mean"]))
        ),
        scale=2.0,
    ),
    _Feature(
        name="reward_change",
        doc="Change of the mean reward of a step over the spread of rewards",
        compute=lambda now: (
            (now.measures["reward_mean"] - now.before["reward_mean"])
            / np.maximum(now.measures["reward_spread"], LEAST)
        ),
        scale=0.3,
    ),
    _Feature(
        name="explained_variance",
        doc="Share of the variance of returns that the value function explains, clipped",
        compute=lambda now: np.clip(now.measures["explained_variance"], -1.0, 1.0),
    ),
    _Feature(
        name="explained_variance_change",
        doc="Its change against the interval before",
        compute=lambda now: (
            np.clip(now.measures["explained_variance"], -1.0, 1.0)
            - np.clip(now.before["explained_variance"], -1.0, 1.0)
        ),
        scale=0.5,
    ),
    _Feature(
        name="approx_kl",
        doc="Logarithm of the divergence of the last epoch's policy from the rollout's, 0 at 0.01",
        compute=lambda now: _log(np.maximum(now.measures["approx_kl"], 1e-7)) - math.log(0.01),
        scale=2.0,
    ),
    _Feature(
        name="approx_kl_change",
        doc="Its change against the interval before",
        compute=lambda now: (
            _log(np.maximum(now.measures["approx_kl"], 1e-7))
            - _log(np.maximum(now.before["approx_kl"], 1e-7))
        ),
        scale=1.0,
    ),
    _Feature(
        name="clip_fraction",
        doc="Share of the samples whose ratio is clipped, from -1 for none to 1 for all",
        compute=lambda now: 2.0 * now.measures["clip_fraction"] - 1.0,
    ),
    _Feature(
        name="small_clip_fraction",
        doc="Logarithm of that share, 0 at a tenth",
        compute=lambda now: _log(np.maximum(now.measures["clip_fraction"], 1e-4)) - math.log(0.1),
        scale=2.0,
    ),
    _Feature(
        name="entropy_share",
        doc="Entropy of discrete actions: -1 for one certain action, 1 for even odds",
        compute=lambda now: np.clip(2.0 * _entropy_share(now.measures, now.facts) - 1.0, -1.0, 1.0),
    ),
    _Feature(
        name="entropy_distance",
        doc="Entropy of each dimension of continuous actions against the unit Gaussian's",
        compute=lambda now: _entropy_distance(now.measures, now.facts),
        scale=1.0,
    ),
    _Feature(
        name="entropy_change",
        doc="Change of the entropy against the interval before, over that of the start",
        compute=lambda now: (
            (now.measures["entropy"] - now.before["entropy"]) / now.facts["entropy_of_start"]
        ),
        scale=0.15,
    ),
    _Feature(
        name="value_error",
        doc="Logarithm of the value loss over the variance of its targets, 0 where they are equal",
        compute=lambda now: (
            _log(now.measures["value_loss"]) - 2.0 * _log(now.measures["target_spread"])
        ),
        scale=2.0,
    ),
    _Feature(
        name="target_spread",
        doc="Logarithm of the spread of the value function's targets, 0 at 1",
        compute=lambda now: _log(now.measures["target_spread"]),
        scale=4.0,
    ),
    _Feature(
        name="advantage_spread",
        doc="Logarithm of the spread of advantages over that of the targets",
        compute=lambda now: (
            _log(now.measures["advantage_spread"]) - _log(now.measures["target_spread"])
        ),
        scale=1.5,
    ),
    _Feature(
        name="gradient_norm",
        doc="Logarithm of the mean norm of the gradient before clipping, 0 at 1",
        compute=lambda now: _log(now.measures["gradient_norm"]),
        scale=3.0,
    ),
    _Feature(
        name="clipped_share",
        doc="Share of the minibatches whose gradient was clipped, from -1 for none to 1 for all",
        compute=lambda now: 2.0 * now.measures["clipped_share"] - 1.0,
    ),
    _Feature(
        name="horizon",
        doc="Logarithm of the discount's horizon 1 / (1 - discount) over the length of episodes",
        compute=lambda now: -_log(1.0 - now.values["discount"]) - _log(now.memory["length"]),
        scale=2.0,
    ),
    _Feature(
        name="num_updates",
        doc="Logarithm of the gradient steps of a rollout under the values in force, 0 at 100",
        compute=lambda now: _log(_gradient_steps(now)) - math.log(100.0),
        scale=2.0,
    ),
    _Feature(
        name="rollout_size",
        doc="Logarithm of the steps of a rollout, all environments together, 0 at 1,024",
        compute=lambda now: _log(now.facts["rollout_size"]) - math.log(1024.0),
        scale=2.0,
    ),
    _Feature(
        name="interval_size",
        doc="Logarithm of the steps of an interval, all environments together, 0 at 4,096",
        compute=lambda now: (
            _log(now.facts["rollout_size"] * now.facts["rollouts_per_decision"]) - math.log(4096.0)
        ),
        scale=2.0,
    ),
    _Feature(
        name="num_envs",
        doc="Logarithm of the environments side by side, 0 at 8",
        compute=lambda now: _log(now.facts["num_envs"]) - math.log(8.0),
        scale=2.0,
    ),
    _Feature(
        name="is_discrete",
        doc="1 where actions are discrete, -1 where they are continuous",
        compute=lambda now: now.facts["is_discrete"],
    ),
    _Feature(
        name="num_actions",
        doc="Logarithm of the discrete actions, or of 1 + the dimensions of continuous ones",
        compute=lambda now: _log(now.facts["num_choices"]) - math.log(3.0),
        scale=1.0,
    ),
    _Feature(
        name="observation_size",
        doc="Logarithm of the numbers in an observation, 0 at 8",
        compute=lambda now: _log(now.facts["observation_size"]) - math.log(8.0),
        scale=2.0,
    ),
    _Feature(
        name="is_ppo",
        doc="1 for PPO, -1 for A2C",
        compute=lambda now: now.facts["is_ppo"],
    ),
)

FEATURES: dict[str, str] = {feature.name: feature.doc for feature in _TABLE}
"""Name and meaning of each feature, in order."""


def _gradient_steps(now: Now) -> Array:
    batches = np.ceil(now.facts["rollout_size"] / np.maximum(now.values["batch_size"], 1.0))
    steps = np.rint(now.values["epochs"]) * batches
    return np.asarray(np.where(now.facts["is_ppo"] > 0, steps, 1.0))


def told(now: Now) -> Array:
    """Compute all features `[n, F]`, each in `[-1, 1]`, 0 where something is missing."""
    columns = []
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        for feature in _TABLE:
            raw = feature.compute(now)
            columns.append(raw if feature.scale is None else np.tanh(raw / feature.scale))
    stacked = np.stack(columns, axis=1)
    return np.asarray(np.nan_to_num(np.clip(stacked, -1.0, 1.0), nan=0.0))
