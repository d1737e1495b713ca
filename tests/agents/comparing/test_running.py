"""The loop: in which order jobs are done, and what happens when one comes to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from quadratic_opponents import FAR, NEAR, Broken, Learned, Steady, Unteachable

from agents.comparing.jobs import PrepareJob, RunJob, make_jobs
from agents.comparing.matrix import Matrix
from agents.comparing.pace import Pace
from agents.comparing.running import ComparisonProgress, Failure, run_jobs
from agents.comparing.store import Store
from tests.agents.comparing.conftest import MakeMatrix
from tests.agents.comparing.here import Here


class Ran:
    """What was seen while all cells of a matrix were run."""

    def __init__(self, matrix: Matrix, folder: Path) -> None:
        self.store, self.workers = Store(folder), Here()
        self.reports: list[ComparisonProgress] = []
        self.told: list[Failure] = []
        self.failures = run_jobs(
            make_jobs(matrix, matrix.cells, self.store),
            self.workers,
            self.store,
            on_progress=self.reports.append,
            on_failure=self.told.append,
        )
        self.filled = [key for key in matrix.cells if self.store.read_cell(key) is not None]


def test_long_jobs_go_first(make_matrix: MakeMatrix, tmp_path: Path) -> None:
    ran = Ran(make_matrix([Steady(name="a")], (NEAR, FAR)), tmp_path)
    first, second = ran.workers.jobs
    assert first.effort == 2 * second.effort


def test_what_was_learned_comes_before_all_and_reaches_the_runs(
    make_matrix: MakeMatrix, tmp_path: Path
) -> None:
    matrix = make_matrix([Steady(name="a"), Learned(name="tuned")], num_tuning_tasks=3)
    ran = Ran(matrix, tmp_path)
    assert isinstance(ran.workers.jobs[0], PrepareJob)
    tuned = [key for key, cell in matrix.cells.items() if cell.opponent.name == "tuned"]
    outcomes = [ran.store.read_cell(key) for key in tuned]
    rates = [o.hyperparameters["learning_rate"].tolist() for o in outcomes if o is not None]
    assert rates == [[0.3] * 3] * 8


def test_a_failure_is_told_and_everybody_else_is_done(
    make_matrix: MakeMatrix, tmp_path: Path
) -> None:
    matrix = make_matrix([Broken(name="broken"), Steady(name="a")])
    ran = Ran(matrix, tmp_path)
    assert ran.failures == ran.told
    (failure,) = ran.failures
    assert (failure.opponent, failure.num_cells) == ("broken", 8)
    assert failure.error == "ValueError: no such luck"
    assert [matrix.cells[key].opponent.name for key in ran.filled] == ["a"] * 8


def test_without_its_tuning_an_opponent_does_not_run(
    make_matrix: MakeMatrix, tmp_path: Path
) -> None:
    ran = Ran(make_matrix([Unteachable(name="u"), Steady(name="a")]), tmp_path)
    (failure,) = ran.failures
    assert (failure.opponent, failure.num_cells) == ("u", 8)
    assert [j.opponent.name for j in ran.workers.jobs if isinstance(j, RunJob)] == ["a"]
    assert len(ran.filled) == 8


def test_the_account_comes_out_even(make_matrix: MakeMatrix, tmp_path: Path) -> None:
    opponents: list[Any] = [Steady(name="a"), Learned(name="tuned"), Broken(name="broken")]
    ran = Ran(make_matrix(opponents, (NEAR, FAR)), tmp_path)
    shares = [progress.share for progress in ran.reports]
    assert shares == sorted(shares)
    last = ran.reports[-1]
    assert last.share == pytest.approx(1.0)
    assert last.seconds_left == pytest.approx(0.0, abs=1e-6)
    assert (last.num_done, last.num_cells) == (32, 48)


def test_time_left_goes_by_each_opponents_own_pace() -> None:
    pace = Pace()
    assert pace.seconds_left({"a": 1.0}, num_workers=1) is None
    pace.note("a", effort=10.0, seconds=10.0)
    pace.note("b", effort=10.0, seconds=30.0)
    assert pace.seconds_left({"a": 4.0, "b": 4.0}, num_workers=4) == pytest.approx(4.0)
    # One that nobody has seen is as fast as the others together: 2 s a unit.
    assert pace.seconds_left({"c": 4.0}, num_workers=1) == pytest.approx(8.0)
