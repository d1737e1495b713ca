"""What is remembered of N runs from interval to interval, so that their features can be told.

The trainer keeps a curve over its lanes, a host of a user's run one with a single lane: both see
the same.

Axes: `N` lanes, `n` some of them, `M` measures, `F` features, `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.reinforcement.facts import Facts
from hpo_env.tasks.reinforcement.features import LEAST, Now, told
from hpo_env.tasks.reinforcement.measures import COLUMN, missing
from hpo_env.tasks.reinforcement.space import NAMES

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST_CHOICES = 2**1000  # a float holds no more; so many are those of a thousand switches
_SMOOTHING = 0.6  # memory of about two and a half intervals

_MEMORY = (
    "latest",  # mean return of the last interval in which an episode ended
    "latest_before",  # and of the one before
    "error",  # standard error of the latest
    "error_before",
    "best",
    "worst",
    "trend",
    "length",
    "since_best",
)
_FACTS = (
    "is_ppo",
    "is_discrete",
    "num_choices",
    "action_size",
    "observation_size",
    "num_envs",
    "rollout_size",
    "rollouts_per_decision",
    "entropy_of_start",
)


def _row(facts: Facts) -> list[float]:
    known = {
        "is_ppo": 1.0 if facts.algorithm == "ppo" else -1.0,
        "is_discrete": 1.0 if facts.num_actions else -1.0,
        "num_choices": min(int(facts.num_actions), _MOST_CHOICES) or 1 + facts.action_size,
        "action_size": facts.action_size,
        "observation_size": facts.observation_size,
        "num_envs": facts.num_envs,
        "rollout_size": facts.num_envs * facts.num_steps,
        "rollouts_per_decision": facts.rollouts_per_decision,
        "entropy_of_start": facts.entropy_of_start,
    }
    return [float(known[name]) for name in _FACTS]


class LearningCurve:
    """Remembers N runs from interval to interval and tells their features.

    The trainer keeps one over its lanes, a host of a user's run one with a single lane.

    Args:
        num_lanes: `N`.

    Example:
        >>> from hpo_env.tasks.reinforcement.features import FEATURES
        >>> facts = Facts(
        ...     algorithm="ppo", num_actions=2, action_size=0, observation_size=4, num_envs=1,
        ...     num_steps=2048, rollouts_per_decision=1,
        ... )
        >>> curve, lane = LearningCurve(1), np.array([0])
        >>> first = missing(1)
        >>> first[:, COLUMN["num_episodes"]] = 90.0
        >>> first[:, COLUMN["episode_return"]] = 22.0
        >>> from hpo_env.tasks.reinforcement.space import HYPERPARAMETERS
        >>> curve.begin(lane, [facts], first, np.array([[h.default for h in HYPERPARAMETERS]]))
        >>> dict(zip(FEATURES, curve.features(lane)[0].tolist()))["has_learned"]
        -1.0
    """

    def __init__(self, num_lanes: int) -> None:
        self.measures = missing(num_lanes)
        self.before = missing(num_lanes)
        self.memory = np.full((num_lanes, len(_MEMORY)), np.nan)
        self.facts = np.ones((num_lanes, len(_FACTS)))
        self.values = np.ones((num_lanes, len(NAMES)))

    def begin(self, lanes: Ints, facts: list[Facts], measures: Array, values: Array) -> None:
        """Forget some lanes and start new runs in them.

        Args:
            lanes: Which lanes `[n]`.
            facts: Of each, n of them.
            measures: Of the rollouts before the first update `[n, M]`.
            values: In force while they were collected `[n, H]`.
        """
        self.measures[lanes] = np.nan
        self.memory[lanes] = np.nan
        self.memory[lanes, _MEMORY.index("trend")] = 0.0
        self.memory[lanes, _MEMORY.index("since_best")] = 0.0
        self.facts[lanes] = [_row(fact) for fact in facts]
        self.update(lanes, measures, values)
        self.before[lanes] = np.nan

    def update(self, lanes: Ints, measures: Array, values: Array) -> None:
        """Take in what an interval of some lanes measured.

        Args:
            lanes: Which lanes `[n]`.
            measures: `[n, M]`.
            values: In force during it `[n, H]`.
        """
        self.before[lanes], self.measures[lanes] = self.measures[lanes], measures
        self.values[lanes] = values
        self.memory[lanes] = _remembered(self.memory[lanes], measures)

    def features(self, lanes: Ints) -> Array:
        """Return the features of some lanes `[n, F]`, each in `[-1, 1]`, 0 where missing."""
        now = Now(
            measures=_columns(COLUMN, self.measures[lanes]),
            before=_columns(COLUMN, self.before[lanes]),
            memory=_columns(_MEMORY, self.memory[lanes]),
            facts=_columns(_FACTS, self.facts[lanes]),
            values=_columns(NAMES, self.values[lanes]),
        )
        return told(now)

    def snapshot(self, lanes: Ints) -> dict[str, Any]:
        """Copy the rows of some lanes; `restore` is the inverse."""
        return {name: getattr(self, name)[lanes].copy() for name in _ARRAYS}

    def restore(self, lanes: Ints, snapshot: Mapping[str, Any]) -> None:
        """Put the rows of n lanes into n lanes, the same or others."""
        for name, rows in snapshot.items():
            getattr(self, name)[lanes] = rows


_ARRAYS = ("measures", "before", "memory", "facts", "values")


def _columns(names: Any, array: Array) -> dict[str, Array]:
    return {name: array[:, k] for k, name in enumerate(names)}


def _remembered(memory: Array, measures: Array) -> Array:
    """Return what is remembered `[n, len(_MEMORY)]` once an interval was measured `[n, M]`."""
    old, new = _columns(_MEMORY, memory), _columns(COLUMN, measures)
    latest, count = new["episode_return"], new["num_episodes"]
    is_new = np.isfinite(latest)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = new["episode_return_spread"] / np.sqrt(count)
        error = np.where(np.isfinite(error), error, old["error"])
        best, worst = np.fmax(old["best"], latest), np.fmin(old["worst"], latest)
        scale = best - worst + np.nan_to_num(error) + LEAST
        change = np.nan_to_num((latest - old["latest"]) / scale)
        is_best = ~(latest <= old["best"])
    learned = {
        "latest": latest,
        "latest_before": old["latest"],
        "error": error,
        "error_before": old["error"],
        "best": best,
        "worst": worst,
        "trend": _SMOOTHING * old["trend"] + (1.0 - _SMOOTHING) * change,
        "length": new["episode_length"],
        "since_best": np.where(is_best, 0.0, old["since_best"] + 1.0),
    }
    idle = {**old, "since_best": old["since_best"] + 1.0}
    return np.stack([np.where(is_new, learned[name], idle[name]) for name in _MEMORY], axis=1)
