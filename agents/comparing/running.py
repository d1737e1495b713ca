"""The loop: gives jobs to workers, longest first, and writes what comes back."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

from hpo_env.errors import HPOControlError

from .jobs import Job, PrepareJob, Result, RunJob
from .pace import Pace
from .store import Store
from .workers import Workers


class IncompleteComparisonError(HPOControlError, RuntimeError):
    """A comparison in which some jobs came to nothing."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A job that came to nothing; it is tried again the next time.

    Args:
        job: What a person would call it.
        opponent: The opponent's name.
        num_cells: Cells that are missing because of it.
        error: What went wrong, in one line.
        details: The traceback, if there is one.
    """

    job: str
    opponent: str
    num_cells: int
    error: str
    details: str


@dataclass(frozen=True, kw_only=True)
class ComparisonProgress:
    """How far the work is.

    Args:
        num_done: Cells filled since the start.
        num_cells: Cells that were missing at the start.
        share: Of the effort, in [0, 1].
        seconds_left: Estimate; None before the first job has ended.
        last: The job that ended last.
    """

    num_done: int
    num_cells: int
    share: float
    seconds_left: float | None
    last: str


def run_jobs(
    jobs: Sequence[Job],
    workers: Workers,
    store: Store,
    *,
    on_progress: Callable[[ComparisonProgress], None],
    on_failure: Callable[[Failure], None],
) -> list[Failure]:
    """Do all jobs.

    Long ones go first, so that none of them is left to a single worker at the end; preparations
    before all, as others wait for them.

    Args:
        jobs: What `make_jobs` returned.
        workers: Who does them; not closed here.
        store: Where results are written, as soon as each job ends.
        on_progress: Called when a job has ended.
        on_failure: Called when a job has come to nothing.

    Returns:
        What came to nothing. The rest is done all the same.
    """
    queue, progress = _Queue(jobs, store), _Progress(jobs, workers.capacity)
    failures: list[Failure] = []
    under_way = 0
    while True:
        while under_way < workers.capacity and (job := queue.pop()) is not None:
            workers.submit(job)
            under_way += 1
        if not under_way:
            return failures
        job, result = workers.wait()
        under_way -= 1
        if result.values is None:
            lost = [job, *queue.give_up(job)]
            failures.append(_failure(lost, result))
            on_failure(failures[-1])
            progress.lose(lost)
        else:
            job.save(store, result.values)
            queue.release(job)
            progress.note(job, result.seconds)
        on_progress(progress.now(job.label))


def _failure(lost: Sequence[Job], result: Result) -> Failure:
    """Describe what the first job failed by, and the others with it."""
    return Failure(
        job=lost[0].label,
        opponent=lost[0].opponent.name,
        num_cells=sum(job.num_cells for job in lost),
        error=result.error or "",
        details=result.details,
    )


class _Queue:
    """Jobs that can be done, and jobs that wait for a preparation."""

    def __init__(self, jobs: Sequence[Job], store: Store) -> None:
        self._store = store
        self._ready: list[tuple[bool, float, int, Job]] = []
        self._waiting: dict[str, list[RunJob]] = defaultdict(list)
        self._numbers = count()
        pending = {job.preparation.key for job in jobs if isinstance(job, PrepareJob)}
        for job in jobs:
            if isinstance(job, RunJob) and job.preparation in pending:
                self._waiting[job.preparation].append(job)
            else:
                self._push(job)

    def pop(self) -> Job | None:
        """Return the next job, with what its opponent has learned; None if there is none now."""
        if not self._ready:
            return None
        job = heapq.heappop(self._ready)[-1]
        if not isinstance(job, RunJob) or job.preparation is None:
            return job
        # From the file and not from memory: a start that finds the file must do the same.
        prepared = self._store.read_prepared(job.preparation)
        assert prepared is not None
        return replace(job, prepared=prepared)

    def release(self, done: Job) -> None:
        """Let those jobs be done that have waited for this one."""
        for job in self.give_up(done):
            self._push(job)

    def give_up(self, job: Job) -> list[RunJob]:
        """Forget those jobs that have waited for this one, and return them."""
        if not isinstance(job, PrepareJob):
            return []
        return self._waiting.pop(job.preparation.key, [])

    def _push(self, job: Job) -> None:
        is_later = not isinstance(job, PrepareJob)
        heapq.heappush(self._ready, (is_later, -job.effort, next(self._numbers), job))


class _Progress:
    """The account of what is done and what is left."""

    def __init__(self, jobs: Sequence[Job], num_workers: int) -> None:
        self._num_workers = num_workers
        self._num_cells = sum(job.num_cells for job in jobs)
        self._num_done = 0
        self._pace = Pace()
        self._remaining: dict[str, float] = defaultdict(float)
        for job in jobs:
            self._remaining[_kind(job)] += job.effort
        self._total = sum(self._remaining.values())

    def note(self, job: Job, seconds: float) -> None:
        """Take in a job that is done."""
        self._remaining[_kind(job)] -= job.effort
        self._pace.note(_kind(job), job.effort, seconds)
        self._num_done += job.num_cells

    def lose(self, jobs: Sequence[Job]) -> None:
        """Take in jobs that will not be done."""
        for job in jobs:
            self._remaining[_kind(job)] -= job.effort

    def now(self, last: str) -> ComparisonProgress:
        """Say how far the work is."""
        left = sum(self._remaining.values())
        return ComparisonProgress(
            num_done=self._num_done,
            num_cells=self._num_cells,
            share=min(1.0, 1.0 - left / self._total),
            seconds_left=self._pace.seconds_left(self._remaining, self._num_workers),
            last=last,
        )


def _kind(job: Job) -> str:
    """Name what takes about equally long for a unit of effort."""
    return f"{type(job).__name__} {job.opponent.name}"
