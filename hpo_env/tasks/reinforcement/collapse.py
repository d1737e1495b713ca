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

LONG_PATIENCE = 5
"""Intervals in a row below where the run began that are too many: learners dip there at first."""

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
        self._num_bad = self._num_below = 0

    def take(self, measures: Array, weights: Mapping[str, Any]) -> str | None:
        """Take in an interval, and say what has happened if the policy has collapsed.

        Args:
            measures: Of the interval `[M]`.
            weights: At its end; kept where its returns are the best so far.
        """
        now = _mean(measures)
        if now is None:
            return None
        if self._best is None or self._first is None:
            self._first = self._best = now
            self.best_weights = weights
            return None
        if now.value > self._best.value:
            self._best, self.best_weights = now, weights
        self._num_bad = self._num_bad + 1 if self._is_bad(now) else 0
        self._num_below = self._num_below + 1 if _is_surely_below(now, self._first) else 0
        if self._num_bad < PATIENCE and self._num_below < LONG_PATIENCE:
            return None
        has_lost = self._num_bad >= PATIENCE
        self._num_bad = self._num_below = 0
        self.num_collapses += 1
        if has_lost:
            return f"returns have collapsed from {self._best.value:g} to {now.value:g}"
        return f"returns of {now.value:g} stay below the {self._first.value:g} of the beginning"

    def state_dict(self) -> dict[str, Any]:
        """Return all state; `load_state_dict` is the inverse."""
        return {
            "first": None if self._first is None else [self._first.value, self._first.error],
            "best": None if self._best is None else [self._best.value, self._best.error],
            "num_bad": self._num_bad,
            "num_below": self._num_below,
            "num_collapses": self.num_collapses,
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self._first = None if state["first"] is None else _Mean(*state["first"])
        self._best = None if state["best"] is None else _Mean(*state["best"])
        self._num_bad = int(state["num_bad"])
        self._num_below = int(state.get("num_below", 0))
        self.num_collapses = int(state.get("num_collapses", 0))
        self.best_weights = state["best_weights"]

    def _is_bad(self, now: _Mean) -> bool:
        assert self._first is not None
        assert self._best is not None
        gained, lost = self._best.value - self._first.value, self._best.value - now.value
        has_learned = _is_surely_below(self._first, self._best)
        is_sure = _is_surely_below(now, self._best)
        return has_learned and is_sure and lost > LOST_SHARE * gained


def _is_surely_below(one: _Mean, other: _Mean) -> bool:
    return other.value - one.value > SURENESS * math.hypot(one.error, other.error)


def _mean(measures: Array) -> _Mean | None:
    """Return an interval's mean return and its standard error; None where there is no telling."""
    count = measures[COLUMN["num_episodes"]]
    if not count >= _FEWEST:
        return None
    spread = measures[COLUMN["episode_return_spread"]]
    return _Mean(float(measures[COLUMN["episode_return"]]), float(spread / math.sqrt(count)))
