"""What an interrupted run has written can be read, and a resumed run goes on without a seam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import agents.meta_training
import agents.validation
from agents import tags
from agents.config import TrainConfig
from agents.meta_training import meta_train
from agents.reporting.curves import Curves, read_curves
from agents.reporting.runs import render_report

TinyConfig = Callable[..., TrainConfig]
TIMED = "throughput/"


class CrashError(Exception):
    pass


@pytest.fixture
def interrupted(tiny: TinyConfig, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Train, and fail after the third segment's training and before its checkpoint."""
    calls = []

    def validate(*args: object) -> object:
        calls.append(args)
        if len(calls) == 3:
            raise CrashError
        return original(*args)  # type: ignore[arg-type]

    original = agents.validation.validate_policy
    config = tiny(n_steps=6)
    with monkeypatch.context() as patched:
        patched.setattr(agents.meta_training, "validate_policy", validate)
        with pytest.raises(CrashError):
            meta_train(config)
    (folder,) = config.run_dir.iterdir()
    return folder


def points(curves: Curves) -> dict[str, list[tuple[float, float]]]:
    return {
        tag: list(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))
        for tag, curve in curves.scalars.items()
        if not tag.startswith(TIMED)
    }


def test_curves_and_histograms_of_a_resumed_run_are_those_of_a_whole_one(
    interrupted: Path, tiny: TinyConfig, tmp_path: Path
) -> None:
    whole = read_curves(meta_train(replace(tiny(n_steps=6), run_dir=tmp_path / "whole")))
    meta_train(TrainConfig(resume=interrupted, progress="quiet"))
    resumed = read_curves(interrupted)
    assert points(resumed) == points(whole)
    assert resumed.moves.keys() == whole.moves.keys()
    for tag, (steps, counts) in whole.moves.items():
        assert resumed.moves[tag][0].tolist() == steps.tolist()
        assert resumed.moves[tag][1].tolist() == counts.tolist()


def test_moves_are_counted_once_each(tiny: TinyConfig) -> None:
    config = tiny(n_steps=6).resolved()
    curves = read_curves(meta_train(config))
    tables = [counts for _, counts in curves.moves.values()]
    assert sum(table.sum() for table in tables) == config.segment_bounds()[-1]
    assert sum(len(table) for table in tables) == len(config.segment_bounds())


def test_an_interrupted_run_can_be_reported(interrupted: Path) -> None:
    assert tags.SCORE in read_curves(interrupted).scalars
    page = render_report(interrupted)
    assert "not finished" in page
    assert "does it generalise?" in page


def test_a_torn_last_record_costs_only_itself(interrupted: Path) -> None:
    before = points(read_curves(interrupted))
    newest = max(interrupted.glob("events.out.*"), key=lambda path: path.name)
    newest.write_bytes(newest.read_bytes()[:-7])
    after = points(read_curves(interrupted))
    for tag, curve in after.items():
        assert curve == before[tag][: len(curve)]
        assert len(curve) >= len(before[tag]) - 1
