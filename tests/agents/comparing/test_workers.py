"""Processes: they do as told, one thread each, and their deaths concern one job."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from asking_job import AskJob
from quadratic_opponents import Broken, Deadly, Slow, Steady

from agents.comparing.jobs import Job, Result, attempt, make_jobs
from agents.comparing.store import Store
from agents.comparing.workers import ProcessWorkers, Workers
from tests.agents.comparing.conftest import MakeMatrix
from tests.agents.comparing.test_jobs import without_seconds

ASK = AskJob(label="ask", effort=1.0)


@contextmanager
def closing(workers: Workers) -> Iterator[Workers]:
    try:
        yield workers
    finally:
        workers.close()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def finish(workers: Workers, jobs: Sequence[Job]) -> dict[str, Result]:
    for job in jobs:
        workers.submit(job)
    found = (workers.wait() for _ in jobs)
    return {job.label: result for job, result in found}


def test_jobs_come_out_as_they_do_here_whoever_dies_beside_them(
    make_matrix: MakeMatrix, tmp_path: Path
) -> None:
    opponents = [Steady(name="a"), Deadly(name="deadly"), Broken(name="broken")]
    matrix = make_matrix(opponents)
    jobs = make_jobs(matrix, matrix.cells, Store(tmp_path))
    with closing(ProcessWorkers(2)) as workers:
        results: dict[str, Result] = {}
        for pair in (jobs[:2], jobs[2:], jobs[:1]):  # the last one after a death
            results |= finish(workers, pair)
    good, dead, broken = (results[job.label] for job in jobs)
    here = attempt(jobs[0])
    assert good.values is not None
    assert here.values is not None
    assert [*map(without_seconds, good.values)] == [*map(without_seconds, here.values)]
    assert dead.error == "its worker died (exit code -9)"
    assert broken.error == "ValueError: no such luck"


def test_a_worker_has_one_thread_lives_on_and_ends_when_told(
    make_matrix: MakeMatrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    matrix = make_matrix([Slow(name="slow", seconds=60.0)], num_tasks=1, num_seeds=1)
    with closing(ProcessWorkers(1)) as workers:
        answers = [finish(workers, [ASK])["ask"].values for _ in range(2)]
        assert answers[0] == answers[1]
        assert answers[0] is not None
        (about,) = answers[0]
        assert (about["torch"], about["kernel"], about["blas"]) == (1, 1, ["1"] * 3)
        assert is_running(about["pid"])
        workers.submit(make_jobs(matrix, matrix.cells, Store(tmp_path))[0])  # busy for a minute
    assert not is_running(about["pid"])
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_closing_twice_does_nothing() -> None:
    workers = ProcessWorkers(1)
    workers.close()
    workers.close()
