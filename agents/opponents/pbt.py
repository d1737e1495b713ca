"""Population-based training: runs that copy better ones and go on with values of their own.

A copy has its source's weights, optimiser and history, so the run that is returned has the values
of its whole lineage, and replaying them reproduces it.

Axes: `N` lanes, `D` hyperparameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .base import Opponent, Setup
from .search import Search
from .search_space import SearchSpace
from .trials import Trials

Array = NDArray[np.float64]

NUM_PERIODS = 10
"""Stretches of training between which runs copy and change; each must be long enough to tell."""

TRUNCATION = 0.2
"""The worst fifth copies the best fifth (Jaderberg et al., 2017, "truncation selection")."""

UP, DOWN = np.log(1.2), np.log(0.8)
"""Perturbations multiply a value by 1.2 or 0.8 (the same paper)."""

LINEAR_STEP = 0.1
"""On linear scales they add or take a tenth of the range: factors would never leave 0."""


class Explorer(ABC):
    """Chooses the values that copies go on with."""

    @abstractmethod
    def observe(self, points: Array, falls: Array) -> None:
        """Learn from a period.

        Args:
            points: Where each lane was `[N, D]`.
            falls: How far its log validation loss fell in the period `[N]`; NaN if it diverged.
        """

    @abstractmethod
    def propose(self, sources: Array, staying: Array) -> Array:
        """Return the points that copies go on with.

        Args:
            sources: The points of the runs that are copied `[n, D]`.
            staying: The points of the lanes that go on as they are `[N-n, D]`.

        Returns:
            `[n, D]`.
        """


class Perturbation(Explorer):
    """Moves each hyperparameter of the source up or down by a fixed factor.

    Args:
        space: The search space.
        rng: What to draw from.
    """

    def __init__(self, space: SearchSpace, rng: np.random.Generator) -> None:
        self._rng = rng
        self._up = np.where(space.is_linear, LINEAR_STEP, UP / space.width)
        self._down = np.where(space.is_linear, -LINEAR_STEP, DOWN / space.width)

    def observe(self, points: Array, falls: Array) -> None:
        """Learn nothing."""

    def propose(self, sources: Array, staying: Array) -> Array:
        """Perturb; see `Explorer.propose`."""
        is_up = self._rng.random(sources.shape) < 0.5
        return np.clip(sources + np.where(is_up, self._up, self._down), 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class PBT(Search):
    """A population of `max_runs` lanes that starts at random points.

    What is perturbed is the value that the schedule multiplies: with schedule "constant" it is
    Jaderberg's own method, in which the population finds the schedule, too.
    """

    def explorer(self, trials: Trials) -> Explorer:
        """Make what chooses the copies' values."""
        return Perturbation(trials.space, trials.instance.rng("pbt", "explore"))

    def search(self, trials: Trials) -> None:
        """See `Search.search`."""
        explorer, rng = self.explorer(trials), trials.instance.rng("pbt", "exploit")
        start = trials.instance.rng("pbt", "start").random((self.max_runs, len(trials.space)))
        trials.load(trials.make(start))
        last = scores(trials)
        for end in period_ends(trials.num_intervals):
            while any(not trial.diverged and trial.interval < end for trial in trials.slots):
                trials.step()
            if end < trials.num_intervals:
                falls = np.where(trials.lanes.diverged, np.nan, last - scores(trials))
                explorer.observe(points(trials), falls)
                exploit_and_explore(trials, explorer, rng)
                last = scores(trials)
        trials.lanes.finish(np.arange(len(trials.slots)))


def period_ends(num_intervals: int) -> list[int]:
    """Return the intervals after which lanes are compared; the last one is the end.

    Example:
        >>> period_ends(25), period_ends(4)
        ([2, 5, 8, 10, 12, 15, 18, 20, 22, 25], [1, 2, 3, 4])
    """
    periods = min(NUM_PERIODS, num_intervals)
    return [round(num_intervals * (p + 1) / periods) for p in range(periods)]


def exploit_and_explore(trials: Trials, explorer: Explorer, rng: np.random.Generator) -> None:
    """Let the worst lanes copy some of the best ones, at points that the explorer chooses.

    Diverged lanes always copy, however many they are. Nothing happens if all of them are.
    """
    order = np.argsort(scores(trials), kind="stable")
    diverged = trials.lanes.diverged
    share = max(1, round(TRUNCATION * len(order)))
    best = [slot for slot in order[:share] if not diverged[slot]]
    worst = [
        slot for rank, slot in enumerate(order) if diverged[slot] or rank >= len(order) - share
    ]
    if not best:
        return
    sources = rng.choice(best, size=len(worst))
    now = points(trials)
    chosen = explorer.propose(now[sources], np.delete(now, worst, axis=0))
    for source, target, point in zip(sources, worst, chosen, strict=True):
        trials.fork(int(source), int(target), point)


def scores(trials: Trials) -> Array:
    """Return the score in each slot `[N]`."""
    return np.array([trial.score for trial in trials.slots])


def points(trials: Trials) -> Array:
    """Return the point in each slot `[N, D]`."""
    return np.array([trial.point for trial in trials.slots])


def pbt(name: str, setup: Setup) -> Opponent:
    """PBT with the setup's population."""
    return PBT(name=name, max_runs=setup.num_lanes, hyperparameters=setup.hyperparameters)


def pbt_constant(name: str, setup: Setup) -> Opponent:
    """PBT without a base schedule, as Jaderberg's: the population alone moves the values."""
    return PBT(
        name=name,
        max_runs=setup.num_lanes,
        hyperparameters=setup.hyperparameters,
        schedule="constant",
    )
