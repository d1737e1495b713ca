"""The trials of a search on one instance: configurations that train side by side on a schedule.

A trial is trained up to some interval, put aside, taken up again bit for bit, and ended. `Trials`
does that for whole batches (`train`, `end`), and lets a search that decides after every interval
work the slots itself (`load`, `step`, `put`, `drop`). It keeps the account of the budget, in
decision intervals.

Axes: `K` trials, `D` hyperparameters, `H` hyperparameters of the family, `T` decision intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.reward import log_diverged, log_loss
from hpo_env.schedules import interval_factors

from .base import Instance
from .lanes import Frozen, Workload
from .search_space import SearchSpace

Array = NDArray[np.float64]


@dataclass(kw_only=True, eq=False)
class Trial:
    """One configuration, and how far it has come.

    Args:
        number: Its place among the search's trials, from 0.
        point: Where it lies in the search space `[D]`.
        initial: The values that its schedule starts from `[H]`.
        num_intervals: Intervals of a complete run.
        score: Log validation loss after its last interval, what searches minimise. At most what
            the reward gives a divergence, so it is finite.
        interval: Intervals that it has gone through.
        diverged: Whether it has diverged.
        frozen: Its run, while it is put aside; None before the first interval and after the end.
    """

    number: int
    point: Array
    initial: Array
    num_intervals: int
    score: float
    interval: int = 0
    diverged: bool = False
    frozen: Frozen | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has diverged or is complete."""
        return self.diverged or self.interval >= self.num_intervals


class Trials:
    """Trains the trials of one instance.

    Args:
        workload: Where to train.
        instance: The instance, a canonical one.
        hyperparameters: The hyperparameters that are searched.
        schedule: Name of the schedule that every trial follows.
        max_runs: Budget in full runs.
    """

    def __init__(
        self,
        workload: Workload,
        instance: Instance,
        *,
        hyperparameters: Sequence[str],
        schedule: str,
        max_runs: int,
    ) -> None:
        self.workload = workload
        self.instance = instance
        self.space = SearchSpace(workload.space, hyperparameters)
        self.lanes = workload.open([instance])
        self.num_intervals = self.lanes.num_intervals
        self.budget = max_runs * self.num_intervals
        """Decision intervals that may still be trained."""
        self.slots: list[Trial] = []
        """The trial in each lane."""
        self._schedule = schedule
        self._initial = self.lanes.initial[0]
        floor = workload.loss_floor
        self._first_score = float(log_loss(self.lanes.losses, floor)[0])
        self._worst_score = float(log_diverged(self.lanes.losses, floor)[0])
        self._num_made = 0

    @property
    def default(self) -> Array:
        """Where the instance's own values lie, the family's defaults in canonical ones `[D]`."""
        return np.asarray(self.space.encode(self._initial[None])[0])

    # ----------------------------------------------------------------------------------- in batches

    def make(self, points: Array) -> list[Trial]:
        """Make trials of points `[K, D]`; nothing is trained yet."""
        first = self._num_made
        self._num_made += len(points)
        return [
            Trial(
                number=first + k,
                point=point,
                initial=initial,
                num_intervals=self.num_intervals,
                score=self._first_score,
            )
            for k, (point, initial) in enumerate(
                zip(points, self.space.decode(points, self._initial), strict=True)
            )
        ]

    def train(self, trials: Sequence[Trial], until: int | None = None) -> None:
        """Train trials up to an interval, by default the last, and put them aside.

        Args:
            trials: All of them equally far, or diverged.
            until: Intervals that each has gone through afterwards, unless it diverges.
        """
        target = self.num_intervals if until is None else until
        for batch in self._batches([t for t in trials if not t.diverged]):
            self.load(batch)
            while any(not trial.diverged and trial.interval < target for trial in batch):
                self.step()
            for slot in range(len(batch)):
                self.put_aside(slot)

    def end(self, trials: Sequence[Trial]) -> None:
        """Note trials that have trained as ended; their runs are forgotten."""
        for batch in self._batches(trials):
            self.load(batch)
            self.lanes.finish(np.arange(len(batch)))
            for trial in batch:
                trial.frozen = None

    def _batches(self, trials: Sequence[Trial]) -> Iterable[Sequence[Trial]]:
        size = self.workload.max_lanes
        return (trials[start : start + size] for start in range(0, len(trials), size))

    # ------------------------------------------------------------------------------- slot by slot

    def load(self, trials: Sequence[Trial]) -> None:
        """Put trials into as many slots; whatever was in the slots before is lost.

        They train together, even if the workload would have fewer at once.
        """
        if len(trials) != len(self.lanes):
            self.lanes.keep(np.zeros(len(trials), dtype=np.int64))
        self.slots = list(trials)
        new = [slot for slot, trial in enumerate(trials) if trial.frozen is None]
        if new:
            self.lanes.restart(new)
        for slot, trial in enumerate(trials):
            if trial.frozen is not None:
                self.lanes.restore([slot], trial.frozen)

    def put(self, slot: int, trial: Trial) -> None:
        """Put a trial into a slot, where it starts or goes on."""
        self.slots[slot] = trial
        if trial.frozen is None:
            self.lanes.restart([slot])
        else:
            self.lanes.restore([slot], trial.frozen)

    def put_aside(self, slot: int) -> None:
        """Keep a slot's run with its trial, so that it can go on in another slot."""
        self.slots[slot].frozen = self.lanes.freeze([slot])

    def drop(self, slots: Sequence[int]) -> None:
        """Free slots; at least one must remain."""
        rest = [slot for slot in range(len(self.slots)) if slot not in slots]
        self.lanes.keep(rest)
        self.slots = [self.slots[slot] for slot in rest]

    def fork(self, source: int, target: int, point: Array) -> None:
        """Let a slot's trial go on from a copy of another's run, at a point `[D]` of its own."""
        self.lanes.fork([source], [target])
        trial = self.slots[target]
        trial.point = point
        trial.initial = self.space.decode(point[None], self._initial)[0]
        self._note(target)

    def step(self) -> None:
        """Train what is in the slots, and not over, for one interval."""
        lanes = self.lanes
        self.budget -= int((~lanes.is_over).sum())
        factors = interval_factors(
            self._schedule, lanes.interval, np.full(len(lanes), self.num_intervals)
        )
        lanes.advance(lanes.space.base(np.array([t.initial for t in self.slots]), factors))
        for slot in range(len(self.slots)):
            self._note(slot)

    def _note(self, slot: int) -> None:
        """Write into a slot's trial how far it has come."""
        trial = self.slots[slot]
        trial.interval = int(self.lanes.interval[slot])
        trial.diverged = bool(self.lanes.diverged[slot])
        trial.score = min(float(self.lanes.scores[slot]), self._worst_score)
