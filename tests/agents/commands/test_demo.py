"""The demo goes through from training to the closing table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.commands.demo import DemoConfig, run


def test_the_demo_trains_evaluates_and_says_where_everything_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(DemoConfig(steps=1, tasks=1, run_dir=tmp_path))
    printed = capsys.readouterr().out
    assert "constant_tuned" in printed
    assert f"hpo-control dashboard {tmp_path}" in printed
    for name in ("data", "model"):
        assert (folder / f"schedules-{name}.png").stat().st_size > 10_000
        evaluation = json.loads((folder / f"evaluation-{name}.json").read_text())
        opponents = {row["opponent"] for row in evaluation["summary"]}
        assert {"controller", "default", "cosine_tuned"} <= opponents
    assert (folder / "policy" / "policy.safetensors").exists()
