"""ASHA: Successive Halving that promotes as soon as it can, with workers that never wait.

Workers are lanes that train side by side, an interval at a time; each goes on to another run when
its own reaches a rung, whatever the others do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .base import Opponent, Setup
from .sampler import RandomSampler, Sampler
from .search import Search
from .successive_halving import ETA, best, make_bracket, most_halvings
from .trials import Trial, Trials

NUM_WORKERS = 8
"""Simulated workers: enough for promotions to be decided on unfinished rungs, as they are meant to
be, and few enough for a budget of 32 runs to see many decisions."""


@dataclass(kw_only=True)
class _Rungs:
    """What has been trained how far.

    Args:
        ends: Decision intervals at the end of each rung; the last is the whole run.
        arrived: Trials that have reached each rung's end, or diverged on the way.
        promoted: Those of them that went on.
    """

    ends: tuple[int, ...]
    arrived: list[list[Trial]] = field(default_factory=list)
    promoted: list[list[Trial]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.arrived = [[] for _ in self.ends]
        self.promoted = [[] for _ in self.ends]

    def promotable(self) -> list[tuple[int, Trial]]:
        """List rungs and trials that may leave them (Li et al., 2020, algorithm 2), highest first.

        They are among the best `1 / ETA` of those that have arrived.
        """
        found = []
        for rung in range(len(self.ends) - 2, -1, -1):
            top = best(self.arrived[rung], len(self.arrived[rung]) // ETA)
            found += [(rung, trial) for trial in top if trial not in self.promoted[rung]]
        return found

    def waiting(self) -> list[Trial]:
        """List the trials that arrived and did not go on, those that came furthest first."""
        return [
            trial
            for rung in range(len(self.ends) - 1, -1, -1)
            for trial in self.arrived[rung]
            if trial not in self.promoted[rung]
        ]


class _Workers:
    """The run of one search."""

    def __init__(self, trials: Trials, sampler: Sampler) -> None:
        num_intervals = trials.num_intervals
        self._trials, self._sampler = trials, sampler
        ends = make_bracket(1, most_halvings(num_intervals), num_intervals).intervals
        self._rungs = _Rungs(ends=ends)
        self._free = trials.budget
        """Intervals that no job has been given."""
        self._targets: list[int] = []
        """The rung that each worker's trial is on its way to."""
        self._is_end_reached = False
        """Whether some trial has been sent to the last rung."""

    def run(self) -> None:
        """Work until nothing fits the budget any more; all trials end, one of them complete."""
        self._start()
        while self._targets:
            self._trials.step()
            self._reassign()
        if not any(t.interval == t.num_intervals for t in self._rungs.arrived[-1]):
            self._complete_one()
        self._trials.end(self._rungs.waiting())

    def _start(self) -> None:
        first: list[Trial] = []
        while len(first) < NUM_WORKERS and (job := self._next_job()) is not None:
            first.append(job[1])
            self._targets.append(job[0])
        if first:
            self._trials.load(first)

    def _reassign(self) -> None:
        """Take in what has reached its rung, and give those workers new jobs."""
        trials, rungs, idle = self._trials, self._rungs, []
        arriving = [
            slot
            for slot, (trial, rung) in enumerate(zip(trials.slots, self._targets, strict=True))
            if trial.diverged or trial.interval >= rungs.ends[rung]
        ]
        for slot in arriving:
            trials.put_aside(slot)
            trial, rung = trials.slots[slot], self._targets[slot]
            self._free += rungs.ends[rung] - trial.interval  # what a divergence has saved
            rungs.arrived[rung].append(trial)
        for slot in arriving:
            job = self._next_job()
            if job is None:
                idle.append(slot)
            else:
                self._targets[slot] = job[0]
                trials.put(slot, job[1])
        if idle:
            self._targets = [t for slot, t in enumerate(self._targets) if slot not in idle]
            if self._targets:
                trials.drop(idle)

    def _next_job(self) -> tuple[int, Trial] | None:
        """Return a rung and the trial to be trained up to it: a promotion, or else a new one."""
        rungs = self._rungs
        for rung, trial in rungs.promotable():
            if self._fits(rung + 1, trial.interval):
                rungs.promoted[rung].append(trial)
                return self._take(rung + 1, trial)
        if self._fits(0, 0):
            return self._take(0, self._trials.make(self._sampler.ask(1))[0])
        return None

    def _fits(self, rung: int, start: int) -> bool:
        """Whether a job can be paid, and some trial still be completed afterwards."""
        is_last = rung == len(self._rungs.ends) - 1
        reserve = 0 if self._is_end_reached or is_last else self._trials.num_intervals
        return self._rungs.ends[rung] - start + reserve <= self._free

    def _take(self, rung: int, trial: Trial) -> tuple[int, Trial]:
        self._free -= self._rungs.ends[rung] - trial.interval
        self._is_end_reached |= rung == len(self._rungs.ends) - 1
        return rung, trial

    def _complete_one(self) -> None:
        """Train a run to the end; in a small budget none may have come there by promotion."""
        trials = self._trials
        affordable = [
            trial
            for trial in self._rungs.waiting()
            if trial.num_intervals - trial.interval <= trials.budget
        ]
        chosen = best(affordable, 1)
        if not chosen and trials.num_intervals <= trials.budget:
            chosen = trials.make(self._sampler.ask(1))
            self._rungs.arrived[-1] += chosen
        trials.train(chosen)


@dataclass(frozen=True, kw_only=True)
class ASHA(Search):
    """Asynchronous Successive Halving with random configurations (Li et al., 2020)."""

    def search(self, trials: Trials) -> None:
        """See `Search.search`."""
        rng = trials.instance.rng("asha")
        _Workers(trials, RandomSampler(rng, len(trials.space))).run()


def asha(name: str, setup: Setup) -> Opponent:
    """ASHA with the setup's budget."""
    return ASHA(name=name, max_runs=setup.num_runs, hyperparameters=setup.hyperparameters)
