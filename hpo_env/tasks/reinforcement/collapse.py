"""The guard against collapse: a policy that has lost most of what it had learned is put back.

Policies of a policy gradient forget in a few updates what took hundreds to learn, and often never
find it again. Some never learn and stay worse than they began. What is at hand to notice it are the
returns of training episodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.reinforcement.measures import COLUMN

Array = NDArray[np.float64]

LOST_SHARE = 0.5
"""Share of the way from the first mean return to the best that has to be lost."""

SURENESS = 3.0
"""Standard errors by which a mean return has to lie below, so that chance rolls nothing back."""

PATIENCE = 2
"""Intervals in a row that have to be so bad: most dips are over in one."""

STRETCH = 5
"""Intervals whose episodes are taken together: where an episode takes half of a rollout, the mean
of one interval says nothing for sure. Learners dip at first, and not for so long."""

MOST_COLLAPSES = 2
"""After so many the hyperparameters are at fault, and not chance."""

_FEWEST = 3  # episodes from which a mean is taken seriously


@dataclass(frozen=True)
class _Mean:
    value: float
    error: float


class Collapse:
    """Watches the mean returns of one run and keeps the weights of the best.

    Attributes:
        best_weights: What was given with the best interval; None before the first.
        num_collapses: How often the policy has collapsed.

    Example:
        >>> guard = Collapse()
        >>> def interval(mean, spread=1.0, count=25):
        ...     row = np.full(len(COLUMN), np.nan)
        ...     row[COLUMN["episode_return"]], row[COLUMN["num_episodes"]] = mean, count
        ...     row[COLUMN["episode_return_spread"]] = spread
        ...     return row
        >>> [guard.take(interval(r), {"after": r}) for r in (0.0, 10.0, 4.0)]
        [None, None, None]
        >>> guard.take(interval(3.0), {"after": 3.0})
        'returns have collapsed from 10 to 3'
        >>> guard.best_weights
        {'after': 10.0}
    """

    def __init__(self) -> None:
        self.best_weights: Mapping[str, Any] | None = None
        self.num_collapses = 0
        self._first: _Mean | None = None
        self._best: _Mean | None = None
        self._best_stretch: _Mean | None = None
        self._recent: list[list[float]] = []  # episodes, mean return and spread of each interval
        self._num_bad = 0

    def take(self, measures: Array, weights: Mapping[str, Any]) -> str | None:
        """Take in an interval, and say what has happened if the policy has collapsed.

        Args:
            measures: Of the interval `[M]`.
            weights: At its end; kept where its returns are the best so far.
        """
        happened = self._look_at_interval(_mean(measures), weights)
        happened = self._look_at_stretch(measures) or happened
        if happened is not None:
            self._num_bad = 0
            self._recent.clear()
            self.num_collapses += 1
        return happened

    def state_dict(self) -> dict[str, Any]:
        """Return all state; `load_state_dict` is the inverse."""
        means = {name: getattr(self, f"_{name}") for name in _MEANS}
        return {
            **{name: None if m is None else [m.value, m.error] for name, m in means.items()},
            "recent": [list(interval) for interval in self._recent],
            "num_bad": self._num_bad,
            "num_collapses": self.num_collapses,
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called; earlier versions looked at no stretches."""
        for name in _MEANS:
            known = state.get(name)
            setattr(self, f"_{name}", None if known is None else _Mean(*known))
        self._recent = [list(interval) for interval in state.get("recent", ())]
        self._num_bad = int(state["num_bad"])
        self.num_collapses = int(state.get("num_collapses", 0))
        self.best_weights = state["best_weights"]

    def _look_at_interval(self, now: _Mean | None, weights: Mapping[str, Any]) -> str | None:
        if now is None:
            return None
        if self._best is None or self._first is None:
            self._first = self._best = now
            self.best_weights = weights
            return None
        if now.value > self._best.value:
            self._best, self.best_weights = now, weights
        is_bad = _is_lost(self._first, self._best, now)
        self._num_bad = self._num_bad + 1 if is_bad else 0
        if self._num_bad < PATIENCE:
            return None
        return f"returns have collapsed from {self._best.value:g} to {now.value:g}"

    def _look_at_stretch(self, measures: Array) -> str | None:
        """See whether the last intervals together are much worse than any as many, or the first."""
        count, mean, spread = (float(measures[COLUMN[name]]) for name in _OF_EPISODES)
        if not count >= 1 or self._first is None:
            return None
        self._recent = [*self._recent, [count, mean, float(np.nan_to_num(spread))]][-STRETCH:]
        if len(self._recent) < STRETCH:
            return None
        now = _together(np.array(self._recent))
        if self._best_stretch is None or now.value > self._best_stretch.value:
            self._best_stretch = now
        told = f"returns of {now.value:g} in {STRETCH} intervals"
        if _is_lost(self._first, self._best_stretch, now):
            return f"{told} have collapsed from {self._best_stretch.value:g}"
        if _is_surely_below(now, self._first):
            return f"{told} stay below the {self._first.value:g} of the beginning"
        return None


_MEANS = ("first", "best", "best_stretch")
_OF_EPISODES = ("num_episodes", "episode_return", "episode_return_spread")


def _is_lost(first: _Mean, best: _Mean, now: _Mean) -> bool:
    """Say whether most of what was surely gained is surely gone."""
    is_sure = _is_surely_below(first, best) and _is_surely_below(now, best)
    return is_sure and best.value - now.value > LOST_SHARE * (best.value - first.value)


def _is_surely_below(one: _Mean, other: _Mean) -> bool:
    return other.value - one.value > SURENESS * math.hypot(one.error, other.error)


def _together(intervals: Array) -> _Mean:
    """Return the mean of all episodes of some intervals `[k, 3]`, as if they were one."""
    count, mean, spread = intervals.T
    total = count.sum()
    whole = float(count @ mean / total)
    squares = float((count - 1.0) @ spread**2 + count @ (mean - whole) ** 2)
    return _Mean(whole, math.sqrt(squares / max(total - 1.0, 1.0) / total))


def _mean(measures: Array) -> _Mean | None:
    """Return an interval's mean return and its standard error; None where there is no telling."""
    count = measures[COLUMN["num_episodes"]]
    if not count >= _FEWEST:
        return None
    spread = measures[COLUMN["episode_return_spread"]]
    return _Mean(float(measures[COLUMN["episode_return"]]), float(spread / math.sqrt(count)))
