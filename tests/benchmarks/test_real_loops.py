"""The benchmark of real loops runs, goes on after it was stopped, and reckons as it says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.loops.opponents import OPTIMIZERS, warm_cosine, warmup_stable_decay
from benchmarks.loops.running import Outcome, Setting, train
from benchmarks.loops.tables import markdown
from benchmarks.loops.workloads import WORKLOADS
from benchmarks.real_loops import main, read

LIGHT = ("digits_residual", "patch_autoencoder")


def setting(**changes: object) -> Setting:
    facts = {
        "workload": "patch_autoencoder",
        "opponent": "cosine",
        "optimizer": "adamw",
        "rate": 1e-3,
        "seed": 0,
        "scale": 0.01,
    }
    return Setting(**facts | changes)  # type: ignore[arg-type]


def test_workloads_that_choose_and_those_that_test_are_enough_and_apart() -> None:
    assert len(WORKLOADS) >= 10
    choosing = [name for name, w in WORKLOADS.items() if not w.is_test]
    assert min(len(choosing), len(WORKLOADS) - len(choosing)) >= 5
    assert any(w.is_tuned_already for w in WORKLOADS.values())


@pytest.mark.parametrize("rule", [warm_cosine, warmup_stable_decay])
def test_a_schedule_rises_to_its_rate_and_falls_to_nothing(rule: object) -> None:
    factors = [rule(step / 1000) for step in range(1000)]  # type: ignore[operator]
    assert 0.0 < factors[0] < 0.1
    assert max(factors) == pytest.approx(1.0, abs=0.02)
    assert factors[-1] < 0.03


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_every_optimiser_trains(optimizer: str) -> None:
    outcome = train(setting(optimizer=optimizer, scale=0.05, rate=1e-3))
    assert outcome.test < outcome.untrained


def test_two_runs_of_one_setting_end_alike_and_another_seed_elsewhere() -> None:
    ends = [train(setting(seed=seed)).test for seed in (0, 0, 1)]
    assert ends[0] == ends[1] != ends[2]


def test_a_stopped_benchmark_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "loops.csv"
    options = {"csv_path": path, "schedule_rates": (1e-3,), "rates": (1e-1,), "scale": 0.02}
    main(workloads=LIGHT[:1], **options)  # type: ignore[arg-type]
    rows = path.read_text()
    path.write_text(rows[: rows.rindex(",")])  # killed while the last row was written
    kept = dict(read(path))
    assert len(kept) == 1
    capsys.readouterr()
    main(workloads=LIGHT, **options)  # type: ignore[arg-type]
    assert capsys.readouterr().out.count(" adamw ") == 3
    done = dict(read(path))
    assert len(done) == 4
    assert done.items() >= kept.items()


def test_gaps_are_to_the_best_rate_of_the_baseline() -> None:
    def ended(test: float) -> Outcome:
        return Outcome(test=test, validation=test, untrained=9.0, seconds=1.0)

    done = {
        setting(rate=1e-3): ended(2.0),
        setting(rate=1e-2): ended(1.0),
        setting(opponent="controller", rate=1e-1, seed=0): ended(1.0),
        setting(opponent="controller", rate=1e-1, seed=1): ended(3.0),
        setting(workload="gpt", opponent="controller", rate=1e-1): ended(5.0),
    }
    lines = markdown(done, ["patch_autoencoder"]).splitlines()
    gap = f"{math.log(2.0):+.3f}"
    assert f"| controller | 0.1 | 2.000 | {gap} | {gap} |" in lines
    assert "| cosine | 0.01 | 1.000 | +0.000 | +0.000 |" in lines
    assert not any("5.000" in line for line in lines)
