"""The claims of a policy are measured, written and printed; how good they are, is not tested."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agents.statistics import claims
from benchmarks import claims as benchmark
from hpo_env.policy_file import load, save

OPPONENTS = ("cosine_tuned", claims.OWN_SCHEDULE, "optuna_tpe", "open_loop")


def test_every_policy_gets_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "SUITES", {"interpolation": OPPONENTS})
    monkeypatch.setattr(benchmark, "RATES", (1e-3, 1e-2))
    shipped = load(Path("hpo_env/zoo/supervised-lr"))
    seed = replace(shipped, metadata={"config": {"seed": 3}})
    save(seed, tmp_path / "seed")
    options = benchmark.Options(
        policies=("supervised-lr", str(tmp_path / "seed"), "supervised"),
        hyperparameters=("learning_rate",),
        out=tmp_path / "out",
        suites=("interpolation",),
        tasks=1,
        runs=2,
        tuning_tasks=1,
        num_workers=0,
    )
    benchmark.main(options)
    first, second, third = json.loads((tmp_path / "out" / "claims.json").read_text())
    assert second["policy"] == "seed 3"
    assert first["suites"] == second["suites"]  # the same network under two names
    assert first["suites"] == third["suites"]  # and as a part of the one that it was made of
    entry = first["suites"]["interpolation"]
    assert entry["trials"]["budget"] == 2
    assert [found["opponent"] for found in entry["one_run"]] == ["cosine_tuned"]
    lines = (tmp_path / "out" / "claims.md").read_text().splitlines()
    assert lines[0].endswith(f"| seed 3 | {third['policy']} |")
    assert len(lines) == 2 + sum(line.suite == "interpolation" for line in benchmark.LINES)
    assert any("cosine_tuned" in line for line in lines)
    assert "| above 0 |" in lines[-1]
