"""What a worker is given at a time: a batch of missing cells, or an opponent's preparation.

One-run opponents take many instances at once, because lanes that train together are cheaper; those
of one job are alike, so that no lane waits for a larger model. A search already has many
lanes on one instance, and is a job for itself.
"""

from __future__ import annotations

import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..opponents.base import Opponent
from ..opponents.lanes import Workload
from .keys import canonical_json
from .matrix import Cell, Matrix, Preparation
from .store import Store, outcome_to_json

_LANES_PER_JOB = 64  # more lanes are hardly cheaper, and a job that is lost is run again as a whole
_TUNING_RUNS = 10  # a guess: configurations that an opponent tries on each meta-training instance


@dataclass(frozen=True, kw_only=True, eq=False)
class Job(ABC):
    """A piece of work for one worker, which may be on another machine.

    Args:
        label: What a person would call it.
        effort: How much work it is, see `TaskFamily.effort`.
    """

    label: str
    effort: float

    @property
    @abstractmethod
    def opponent(self) -> Opponent:
        """Whose job it is."""

    @property
    @abstractmethod
    def workload(self) -> Workload:
        """Where it is done."""

    @property
    @abstractmethod
    def num_cells(self) -> int:
        """Cells that it fills."""

    @abstractmethod
    def perform(self) -> list[dict[str, Any]]:
        """Do it, and return plain data, some for each file that it fills."""

    @abstractmethod
    def save(self, store: Store, results: Sequence[Mapping[str, Any]]) -> None:
        """Write what `perform` returned."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PrepareJob(Job):
    """An opponent learns on the meta-training instances."""

    preparation: Preparation

    @property
    def opponent(self) -> Opponent:
        """See `Job.opponent`."""
        return self.preparation.opponent

    @property
    def workload(self) -> Workload:
        """See `Job.workload`."""
        return self.preparation.workload

    @property
    def num_cells(self) -> int:
        """None."""
        return 0

    def perform(self) -> list[dict[str, Any]]:
        """See `Job.perform`."""
        wanted = self.preparation
        prepared = wanted.opponent.prepare(wanted.workload, wanted.instances)
        canonical_json(prepared)  # what is no plain data is the opponent's fault, not the writer's
        return [dict(prepared)]

    def save(self, store: Store, results: Sequence[Mapping[str, Any]]) -> None:
        """See `Job.save`."""
        store.write_prepared(self.preparation.key, self.preparation.inputs, results[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class RunJob(Job):
    """An opponent runs instances, all on one workload.

    Args:
        cells: What is to be filled.
        prepared: What the opponent has learned.
    """

    cells: tuple[Cell, ...]
    prepared: Mapping[str, Any] = field(default_factory=dict)

    @property
    def opponent(self) -> Opponent:
        """See `Job.opponent`."""
        return self.cells[0].opponent

    @property
    def workload(self) -> Workload:
        """See `Job.workload`."""
        return self.cells[0].workload

    @property
    def num_cells(self) -> int:
        """See `Job.num_cells`."""
        return len(self.cells)

    @property
    def preparation(self) -> str | None:
        """Key of what must have been learned before; None if nothing."""
        return self.cells[0].preparation

    def perform(self) -> list[dict[str, Any]]:
        """See `Job.perform`."""
        instances = [cell.instance for cell in self.cells]
        outcomes = self.opponent.run(self.workload, instances, self.prepared)
        return [outcome_to_json(o) for _, o in zip(self.cells, outcomes, strict=True)]

    def save(self, store: Store, results: Sequence[Mapping[str, Any]]) -> None:
        """See `Job.save`."""
        for cell, outcome in zip(self.cells, results, strict=True):
            store.write_cell(cell.key, cell.inputs, outcome)


def make_jobs(matrix: Matrix, missing: Iterable[str], store: Store) -> list[Job]:
    """Divide the missing cells into jobs, after the preparations that they need.

    Args:
        matrix: What there is to run.
        missing: Keys of the cells that have no file.
        store: Tells which preparations have been made.
    """
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for key in missing:
        cell = matrix.cells[key]
        groups.setdefault(_group(cell), []).append(cell)
    runs = [job for cells in groups.values() for job in _split(cells)]
    needed = dict.fromkeys(job.preparation for job in runs if job.preparation is not None)
    return [
        *(_prepare_job(matrix.preparations[k]) for k in needed if store.read_prepared(k) is None),
        *runs,
    ]


def _group(cell: Cell) -> tuple[Any, ...]:
    task = cell.instance.task
    return cell.opponent.name, cell.suite, task.num_decisions, task.alike


def _split(cells: Sequence[Cell]) -> list[RunJob]:
    size = _LANES_PER_JOB if cells[0].opponent.max_runs == 1 else 1
    return [_run_job(tuple(cells[i : i + size])) for i in range(0, len(cells), size)]


def _run_job(cells: tuple[Cell, ...]) -> RunJob:
    first = cells[0]
    effort = sum(cell.workload.task_family.effort(cell.instance.task) for cell in cells)
    instance = first.instance
    what = instance.task.name if len(cells) == 1 else f"{len(cells)} runs"
    return RunJob(
        label=f"{first.opponent.name} on {first.suite}: {what}",
        effort=effort * first.opponent.max_runs,
        cells=cells,
    )


def _prepare_job(preparation: Preparation) -> PrepareJob:
    workload = preparation.workload
    effort = sum(workload.task_family.effort(instance.task) for instance in preparation.instances)
    return PrepareJob(
        label=f"{preparation.opponent.name}: tuning on {len(preparation.instances)} tasks",
        effort=effort * _TUNING_RUNS,
        preparation=preparation,
    )


# ----------------------------------------------------------------------------------- in the workers


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a job.

    Args:
        values: What `perform` returned; None if it failed.
        error: What went wrong, in one line; None if nothing did.
        details: The traceback, for the opponent's author.
        seconds: Wall-clock in the worker.
    """

    values: list[dict[str, Any]] | None = None
    error: str | None = None
    details: str = ""
    seconds: float = 0.0


def attempt(job: Job) -> Result:
    """Do a job in a worker; an opponent that raises fails the job and nothing else."""
    before = time.perf_counter()
    try:
        values = job.perform()
    except Exception as error:
        return Result(
            error=f"{type(error).__name__}: {error}",
            details=traceback.format_exc(),
            seconds=time.perf_counter() - before,
        )
    return Result(values=values, seconds=time.perf_counter() - before)


def attempt_on_one_core(job: Job) -> Result:
    """Do a job in a process that shares the cores with others.

    The family's trainers get one thread: their outcome does not depend on it, and more gain nothing
    where every core has a job.
    """
    use_one_thread()
    job.workload.task_family.set_num_threads(1)
    return attempt(job)


def use_one_thread() -> None:
    """Restrict torch to one thread in this process.

    With more threads a worker than cores, torch's spin while they wait for each other and slow all
    workers down many times over. And its sums depend on the number of threads: an outcome must not
    depend on how many cores the machine has.
    """
    import torch

    torch.set_num_threads(1)
