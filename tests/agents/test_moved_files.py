"""A run knows its files again: in another folder, on another day, and when they were changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.commands.evaluate import EvaluateConfig
from agents.commands.policies import load_policy
from agents.commands.train import parse
from agents.comparing.schedules import compare_schedules
from agents.config import TrainConfig
from agents.meta_training import meta_train
from hpo_env.errors import ConfigurationError, DatasetError

TinyConfig = Callable[..., TrainConfig]


def write(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    path.parent.mkdir(exist_ok=True)
    lines = [f"{a:.4f},{b:.4f}" for a, b in rng.normal(size=(80, 2))]
    path.write_text("\n".join(["x,y", *lines]))
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return the folder of a finished run on a file of a relative path, and the file."""
    path = write(tmp_path / "here" / "mine.csv", seed=0)
    monkeypatch.chdir(path.parent)
    config = TrainConfig.of(
        family_options={"dataset": "mine.csv", "target": "y", "model": "mlp_32x2_relu"},
        hyperparameters=("learning_rate",),
        engine="eager",
        num_decisions=3,
        num_envs=2,
        steps=12,
        segment_steps=6,
        validation_lanes=2,
        n_steps=3,
        run_dir=tmp_path / "runs",
        progress="quiet",
    )
    return meta_train(config), path


def options_of(folder: Path) -> dict[str, Any]:
    options: dict[str, Any] = json.loads((folder / "config.json").read_text())["family_options"]
    return options


def test_what_is_written_down_is_an_absolute_path_and_a_fingerprint(run: tuple[Path, Path]) -> None:
    folder, path = run
    assert options_of(folder)["dataset"] == str(path)
    assert options_of(folder)["fingerprint"]


def test_resumed_from_another_folder_with_another_file_of_the_same_name_it_keeps_its_own(
    run: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, path = run
    other = write(tmp_path / "there" / "mine.csv", seed=1)
    monkeypatch.chdir(other.parent)
    meta_train(TrainConfig(resume=folder, progress="quiet"))
    assert options_of(folder)["dataset"] == str(path)


@pytest.mark.parametrize("change", ["other rows", "gone"])
def test_a_file_that_is_not_what_it_was_is_refused_with_the_way_on(
    change: str, run: tuple[Path, Path]
) -> None:
    folder, path = run
    if change == "gone":
        path.unlink()
    else:
        write(path, seed=1)
    with pytest.raises(DatasetError, match=r"mine\.csv.*--family-options dataset=PATH"):
        meta_train(TrainConfig(resume=folder, progress="quiet"))


def test_a_file_that_has_moved_is_named_once(run: tuple[Path, Path], tmp_path: Path) -> None:
    folder, path = run
    new = path.rename(tmp_path / "moved.csv")
    words = ["--resume", str(folder), "--family-options", f"dataset={new}"]
    meta_train(replace(parse(words), progress="quiet"))
    assert options_of(folder)["dataset"] == str(new)
    meta_train(TrainConfig(resume=folder, progress="quiet"))


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ("dataset={other}", DatasetError),
        ("fingerprint=x", ConfigurationError),
        ("target=x", ConfigurationError),
        ("colour=red", ConfigurationError),
    ],
)
def test_nothing_but_the_place_of_the_same_rows_can_be_changed(
    option: str, error: type[Exception], run: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, _ = run
    before = options_of(folder)
    option = option.format(other=write(tmp_path / "other.csv", seed=1))
    config = parse(["--resume", str(folder), "--family-options", option])
    with pytest.raises(error):
        meta_train(replace(config, progress="quiet"))
    assert options_of(folder) == before


def test_a_comparison_says_which_rows_it_was_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "here" / "mine.csv", seed=0)
    monkeypatch.chdir(path.parent)

    def keys() -> set[str]:
        config = EvaluateConfig(
            policy="supervised-lr",
            tasks=1,
            seeds=1,
            opponents=("default",),
            starts=(1e-3,),
            engine="eager",
            family_options={"dataset": "mine.csv", "target": "y", "model": "mlp_32x2_relu"},
        )
        comparison = compare_schedules(
            load_policy(config.policy),
            "supervised",
            [config.suite],
            config.protocol("supervised"),
            names=config.opponents,
        )
        assert comparison.suites[0].options["dataset"] == str(path)
        assert comparison.suites[0].options["fingerprint"]
        return set(comparison.matrix.cells)

    first = keys()
    assert keys() == first
    write(path, seed=1)
    assert not keys() & first
