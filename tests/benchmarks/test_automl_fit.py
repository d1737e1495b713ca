"""What the benchmark of `fit` does with tables, learners and their outcomes."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo_env.policy_file import save
from hpo_env.tasks.automl.problem import Problem, Side
from hpo_env.tasks.automl.space import LIBRARY_NAMES
from hpo_env.testing.policies import linear_policy

pytest.importorskip("lightgbm")

from benchmarks.automl_fit import (
    Report,
    Run,
    compared,
    fit_all,
    fit_one,
    frame_of,
    gap_closed,
    read,
    report,
)
from benchmarks.automl_jobs import Job, validated
from benchmarks.automl_learners import LEARNERS


def problem(target: Any = "binary") -> Problem:
    rng = np.random.default_rng(0)
    sides = []
    for count in (60, 20, 20):
        x = np.stack([rng.normal(size=count), rng.integers(0, 3, count).astype(float)], axis=1)
        y = (x[:, 0] + (x[:, 1] == 2.0) > 0.3).astype(float)
        x[0] = np.nan
        sides.append(Side(x=x, y=y))
    return Problem(
        target=target,
        num_classes=2,
        is_categorical=np.array([False, True]),
        train=sides[0],
        validation=sides[1],
        test=sides[2],
    )


def job(target: Any = "binary") -> Job:
    made = problem(target)
    return Job(
        x=frame_of(made, made.train, made.validation),
        y=np.concatenate([made.train.y, made.validation.y]),
        target=target,
        num_classes=2,
        seed=0,
        seconds=1.0,
        policy="nowhere",
    )


def test_a_frame_has_the_levels_of_all_sides_and_what_is_missing() -> None:
    made = problem()
    frame = frame_of(made, made.test)
    assert frame.shape == (20, 2)
    assert list(frame["x1"].cat.categories) == ["level 0", "level 1", "level 2"]
    assert frame.isna().sum().tolist() == [1, 1]


def test_whoever_stops_early_learns_from_three_quarters() -> None:
    train, validation = validated(job())
    assert sorted([*train, *validation]) == list(range(80))
    assert len(validation) == 20


@pytest.mark.parametrize("target", ["binary", "regression"])
@pytest.mark.parametrize("name", ["LightGBM, default", "LightGBM, rate 0.03"])
def test_a_learner_is_better_than_the_best_constant(name: str, target: str) -> None:
    made = problem(target)
    found = fit_one(name, job(target), made)
    share = float(made.test.y.mean())
    constant = {
        "binary": -(share * np.log(share) + (1 - share) * np.log(1 - share)),
        "regression": float(made.test.y.std()),
    }[target]
    assert found["loss"] < constant
    assert found["cpu_seconds"] >= 0.0


def test_a_learner_that_fails_is_noted_and_ends_nothing() -> None:
    found = fit_one("controlled", job(), problem())
    assert "PolicyFileError: 'nowhere'" in found["error"]


@pytest.mark.parametrize(
    "name",
    ["CatBoost, default", "flaml.default", "FLAML, equal time", "LightGBMTuner, equal time"],
)
def test_a_package_that_is_missing_names_the_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = builtins.__import__

    def without(module: str, *rest: Any, **more: Any) -> Any:
        if module.partition(".")[0] in ("catboost", "flaml", "optuna_integration"):
            raise ImportError(module)
        return found(module, *rest, **more)

    monkeypatch.setattr("importlib.import_module", without)
    error = fit_one(name, job(), problem())["error"]
    assert "MissingExtraError" in error
    assert "pip install 'hpo-control[automl-opponents]'" in error


def outcomes() -> list[dict[str, Any]]:
    losses: Mapping[str, list[float]] = {
        "controlled": [1.0, 2.0],
        "LightGBM, default": [np.exp(0.1), 2.0 * np.exp(-0.02)],
    }
    return [
        {"table": f"t{place}", "split": 0, "learner": name, "loss": loss, "cpu_seconds": 1.0}
        for name, row in losses.items()
        for place, loss in enumerate(row)
    ]


def test_learners_are_compared_in_per_cent_of_the_loss() -> None:
    itself, other = compared(outcomes(), "controlled")
    assert (itself["behind"], itself["won"]) == (0.0, 0.0)
    assert other["behind"] == pytest.approx(4.0)
    assert (other["low"], other["high"]) == pytest.approx((-2.0, 10.0))
    assert (other["won"], other["tables"]) == (0.5, 2)


def test_the_share_of_a_gap_is_that_of_the_means() -> None:
    log_losses = {"low": [0.4, 0.2, 9.0], "mine": [0.1, 0.2, 9.0], "high": [0.0, 0.1]}
    rows = [
        {"table": f"t{place}", "split": 0, "learner": name, "loss": np.exp(loss)}
        for name, row in log_losses.items()
        for place, loss in enumerate(row)
    ]
    found = gap_closed(rows, "mine", "low", "high")
    assert found["tables"] == 2  # the third has no upper end
    assert (found["gap"], found["share"]) == pytest.approx((25.0, 0.6))
    assert (found["low"], found["high"]) == pytest.approx((0.0, 0.75))


def test_outcomes_are_written_as_they_come_and_gone_on_with(tmp_path: Path) -> None:
    policy = save(
        linear_policy("automl", LIBRARY_NAMES, base_schedule="constant"), tmp_path / "policy"
    )
    names = ("controlled", "LightGBM, default")
    config = Run(
        out=tmp_path,
        policy=str(policy),
        max_rows=200,
        tables=("fuel_economy",),
        only=names,
    )
    fit_all(config)
    first = (tmp_path / "fits.jsonl").read_text()
    assert [row["learner"] for row in read(tmp_path / "fits.jsonl")] == list(names)
    fit_all(config)
    assert (tmp_path / "fits.jsonl").read_text() == first
    rows = [*read(tmp_path / "fits.jsonl")]
    rows += [{**row, "learner": "controlled, 8 runs"} for row in rows[:1]]
    (tmp_path / "fits.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = report(Report(out=tmp_path))
    assert "| LightGBM, default |" in text
    assert "No fit failed." in text
    assert set(json.loads((tmp_path / "fit.json").read_text())["compared"]) == {
        "controlled",
        "controlled, 8 runs",
    }


def test_every_learner_has_a_name_and_an_explanation() -> None:
    assert len(LEARNERS) == len(set(map(id, LEARNERS.values())))
    assert isinstance(frame_of(problem(), problem().train), pd.DataFrame)
