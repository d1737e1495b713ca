"""How missing cells are divided into jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from quadratic_opponents import (
    FAR,
    NEAR,
    Broken,
    Learned,
    Slow,
    Steady,
    Unteachable,
)

from agents.comparing.jobs import Job, PrepareJob, RunJob, attempt, make_jobs
from agents.comparing.matrix import Cell, Matrix
from agents.comparing.store import Store, outcome_to_json
from agents.opponents.lanes import Workload
from hpo_env.tasks.quadratic import UPDATES_PER_DECISION
from hpo_env.tasks.registry import family_class
from tests.agents.comparing.conftest import MakeMatrix

SUITES = {suite.name: suite for suite in family_class("supervised").suites}


def effort_of(cell: Cell) -> float:
    return cell.workload.task_family.effort(cell.instance.task)


def jobs_of(matrix: Matrix, folder: Path, missing: Any = None) -> list[Job]:
    return make_jobs(matrix, matrix.cells if missing is None else missing, Store(folder))


def cells_of(jobs: list[Job]) -> list[str]:
    return [cell.key for job in jobs if isinstance(job, RunJob) for cell in job.cells]


def test_every_missing_cell_is_in_one_job(make_matrix: MakeMatrix, tmp_path: Path) -> None:
    matrix = make_matrix([Steady(name="a"), Slow(name="b")], (NEAR, FAR))
    some = list(matrix.cells)[3:]
    assert sorted(cells_of(jobs_of(matrix, tmp_path, some))) == sorted(some)
    assert jobs_of(matrix, tmp_path, []) == []


def test_one_run_opponents_take_many_instances_and_searches_one(
    make_matrix: MakeMatrix, tmp_path: Path
) -> None:
    matrix = make_matrix([Steady(name="a"), Slow(name="b")], num_tasks=10, num_seeds=5)
    jobs = jobs_of(matrix, tmp_path)
    assert [j.num_cells for j in jobs if j.opponent.name == "a"] == [64, 36]
    assert [j.num_cells for j in jobs if j.opponent.name == "b"] == [1] * 100


def test_the_lanes_of_a_job_have_the_same_model(make_matrix: MakeMatrix, tmp_path: Path) -> None:
    matrix = make_matrix([Steady(name="a")], (SUITES["interpolation"],), "supervised", num_tasks=6)
    jobs = jobs_of(matrix, tmp_path)
    models = [{c.inputs["task"]["architecture"] for c in j.cells} for j in jobs]  # type: ignore[attr-defined]
    assert all(len(found) == 1 for found in models)
    assert len(jobs) == len({name for found in models for name in found}) > 1


def test_preparations_are_made_once_and_only_where_needed(
    make_matrix: MakeMatrix, tmp_path: Path
) -> None:
    matrix = make_matrix([Steady(name="a"), Learned(name="tuned")], (NEAR, FAR))
    first = jobs_of(matrix, tmp_path)[0]
    assert isinstance(first, PrepareJob)
    assert sum(isinstance(j, PrepareJob) for j in jobs_of(matrix, tmp_path)) == 1
    first.save(Store(tmp_path), first.perform())
    assert not any(isinstance(j, PrepareJob) for j in jobs_of(matrix, tmp_path))
    steady = [k for k, c in matrix.cells.items() if c.opponent.name == "a"]
    (tmp_path / "fresh").mkdir()
    assert not any(isinstance(j, PrepareJob) for j in jobs_of(matrix, tmp_path / "fresh", steady))


def test_a_job_fills_its_cells_with_what_the_opponent_reached(
    make_matrix: MakeMatrix, tmp_path: Path
) -> None:
    matrix, store = make_matrix([Steady(name="a")]), Store(tmp_path)
    (job,) = jobs_of(matrix, tmp_path)
    job.save(store, job.perform())
    for key, cell in matrix.cells.items():
        (alone,) = cell.opponent.run(cell.workload, [cell.instance], {})
        found = store.read_cell(key)
        assert found is not None
        assert without_seconds(outcome_to_json(found)) == without_seconds(outcome_to_json(alone))


def without_seconds(outcome: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in outcome.items() if not name.endswith("seconds")}


def test_an_opponent_that_raises_fails_its_job(make_matrix: MakeMatrix, tmp_path: Path) -> None:
    (job,) = jobs_of(make_matrix([Broken(name="broken")]), tmp_path)
    result = attempt(job)
    assert result.values is None
    assert result.error == "ValueError: no such luck"
    assert "in run" in result.details


def test_a_tuning_that_raises_fails_its_job(make_matrix: MakeMatrix, tmp_path: Path) -> None:
    job = jobs_of(make_matrix([Unteachable(name="u")]), tmp_path)[0]
    assert attempt(job).error == "RuntimeError: nothing learned"


def test_learning_what_json_cannot_hold_fails_the_job(
    make_matrix: MakeMatrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Learned, "prepare", lambda *_: {"rate": object()})
    job = jobs_of(make_matrix([Learned(name="tuned")]), tmp_path)[0]
    assert "not JSON serializable" in str(attempt(job).error)


def test_effort_grows_with_length_model_and_batch(make_matrix: MakeMatrix) -> None:
    efforts = {}
    for name in ("interpolation", "longer", "batch", "wider"):
        suite = SUITES[name]
        (cell, *_) = make_matrix(
            [Steady(name="a")], (suite,), "supervised", num_tasks=1
        ).cells.values()
        efforts[name] = effort_of(cell)
    assert efforts["longer"] == pytest.approx(4 * efforts["interpolation"])
    assert efforts["batch"] > efforts["interpolation"]
    assert efforts["wider"] > efforts["interpolation"]


def test_efforts_of_families_without_models_count_updates(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix([Steady(name="a")], (NEAR, FAR))
    found = {c.suite: effort_of(c) for c in matrix.cells.values()}
    assert found["far"] == 2 * found["near"]
    assert Workload(family="quadratic").updates_per_decision == UPDATES_PER_DECISION
