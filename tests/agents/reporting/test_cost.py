"""Looking at a run costs little and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch

from agents.config import TrainConfig
from agents.meta_training import meta_train
from benchmarks.logging_cost import MOST_MEGABYTES, silence


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(sorted((folder / "checkpoints").iterdir())[-1])


def test_logging_changes_no_weight(tiny: Callable[..., TrainConfig], tmp_path: Path) -> None:
    config = tiny(n_steps=6, steps=600)
    loud = meta_train(config)
    with silence():
        quiet = meta_train(replace(config, run_dir=tmp_path / "quiet"))
    assert not list(quiet.rglob("events.out.*"))
    expected, got = final_weights(loud), final_weights(quiet)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_events_of_a_run_with_all_its_analyses_are_small(run: Path) -> None:
    size = sum(path.stat().st_size for path in run.rglob("events.out.*"))
    assert size < 0.1 * MOST_MEGABYTES * 1e6


def test_every_picture_of_the_guide_is_there() -> None:
    guide = Path(__file__).parents[3] / "docs" / "reading-tensorboard.md"
    pictures = [part.split(")")[0] for part in guide.read_text().split("](")[1:]]
    assert len(pictures) > 5
    for picture in pictures:
        assert (guide.parent / picture).is_file(), picture
