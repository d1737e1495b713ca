"""What TensorBoard shows goes to a tracker, once, with the same tags; real ones take it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from agents.commands import load_command
from agents.config import TrainConfig
from agents.meta_training import meta_train
from agents.mirror import Mirror
from agents.reporting.curves import read_curves
from agents.reporting.style import new_figure
from agents.reporting.tensorboard import write_picture, write_text
from agents.tracking.base import TRACKERS, Histogram, Tracker, check_tracker, start_tracker
from hpo_env.errors import MissingExtraError, UnknownNameError
from hpo_env.policy_file import save
from tests.agents.opponents.policies import steady_policy
from tests.agents.tracking import recording
from tests.agents.tracking.recording import Recording

SHORT: dict[str, Any] = {
    "family": "quadratic",
    "steps": 160,
    "segment_steps": 80,
    "num_envs": 4,
    "validation_lanes": 2,
    "n_steps": 5,
    "progress": "quiet",
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Recording]]:
    """The trackers that were made; there is one more, called sys, a package that is always here."""
    monkeypatch.setitem(TRACKERS, "sys", f"{recording.__name__}:Recording")
    Recording.made.clear()
    yield Recording.made
    Recording.made.clear()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    new_figure(1, 1).savefig(path)
    return path


def write_all(folder: Path, picture: Path) -> None:
    with SummaryWriter(str(folder)) as writer:
        writer.add_scalar("train/loss", 2.0, 1)
        writer.add_scalar("train/loss", 1.0, 2)
        writer.add_scalar("train/nothing", float("nan"), 2)
        writer.add_histogram("moves", np.array([0.1, 0.1, 0.9]), 2)
        write_text(writer, "card", "**good**", 2)
        write_picture(writer, "figures/one", picture, 2)
    with SummaryWriter(str(folder / "methods" / "frozen")) as writer:
        writer.add_scalar("loss", 3.0, 7)


def test_everything_is_handed_on_with_its_tag(
    tmp_path: Path, made: list[Recording], picture: Path
) -> None:
    folder = tmp_path / "run"
    write_all(folder, picture)
    with Mirror("sys", folder, {"seed": 1}):
        pass
    (tracker,) = made
    assert (tracker.name, tracker.config, tracker.ended) == ("run", {"seed": 1}, True)
    assert sorted(tracker.scalars) == [
        ("methods/frozen/loss", 7, 3.0),
        ("train/loss", 1, 2.0),
        ("train/loss", 2, 1.0),
    ]
    assert tracker.pictures == {"figures/one": picture.read_bytes()}
    assert tracker.texts == {"run/card": "**good**"}
    histogram = tracker.histograms["moves"]
    assert len(histogram.edges) == len(histogram.counts) + 1
    assert sum(histogram.counts) == 3


def test_nothing_is_handed_on_twice(tmp_path: Path, made: list[Recording], picture: Path) -> None:
    folder = tmp_path / "run"
    write_all(folder, picture)
    with Mirror("sys", folder, {}) as mirror:
        mirror.follow()
        num_before = len(made[0].scalars)
        mirror.follow()
        assert len(made[0].scalars) == num_before
        with SummaryWriter(str(folder)) as writer:
            writer.add_scalar("train/loss", 0.5, 3)
    assert made[0].scalars[num_before:] == [("train/loss", 3, 0.5)]
    with Mirror("sys", folder, {}):
        pass
    assert made[1].identity == "first"
    assert not made[1].scalars


def test_an_end_that_is_torn_waits_until_it_is_whole(tmp_path: Path, made: list[Recording]) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("a", 1.0, 1)
        writer.add_scalar("b", 2.0, 2)
    (file,) = tmp_path.glob("events.out*")
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    with Mirror("sys", tmp_path, {}) as mirror:
        mirror.follow()
        assert made[0].scalars == [("a", 1, 1.0)]
        file.write_bytes(whole)
    assert made[0].scalars == [("a", 1, 1.0), ("b", 2, 2.0)]


def test_without_a_tracker_nothing_happens(tmp_path: Path) -> None:
    with Mirror(None, tmp_path, {}) as mirror:
        mirror.follow()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_is_not_complete(tmp_path: Path, made: list[Recording]) -> None:
    with pytest.raises(RuntimeError), Mirror("sys", tmp_path, {}):
        raise RuntimeError
    assert made[0].ended is False


def test_a_meta_training_is_in_the_tracker_as_in_tensorboard(
    tmp_path: Path, made: list[Recording]
) -> None:
    folder = meta_train(TrainConfig.of(**SHORT, tracker="sys", run_dir=tmp_path))
    shown = {
        (tag, int(step)): value
        for tag, curve in read_curves(folder).scalars.items()
        for step, value in zip(curve.steps, curve.values, strict=True)
        if np.isfinite(value)
    }
    told = {(tag, step): value for tag, step, value in made[0].scalars}
    assert told == pytest.approx(shown)
    assert len(told) == len(made[0].scalars)
    assert made[0].config["family"] == "quadratic"
    assert "tracker" not in TrainConfig.of(tracker="sys").to_json()


def test_a_comparison_is_in_the_tracker(
    tmp_path: Path, made: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(steady_policy("quadratic", ("learning_rate",), level=0.5), tmp_path / "policy")
    little = "--tasks 2 --seeds 2 --starts 0.01 --tuning-tasks 1 --runs 2 --num-workers 0"
    words = f"policy --out out {little} --opponents default --tracker sys"
    load_command("compare")(words.split())
    (tracker,) = made
    assert tracker.name == "out"
    tags = {tag for tag, _, _ in tracker.scalars}
    assert any(tag.endswith("/default/difference/estimate") for tag in tags), tags
    assert any(tag.endswith("/controller/mean_log_test_loss") for tag in tags)
    assert "default" in tracker.texts["comparison/tables"]
    assert tracker.pictures["comparison/schedules"].startswith(b"\x89PNG")


def test_an_unknown_tracker_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'wandb'"):
        TrainConfig(tracker="wadb")


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_is_told_with_what_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'hpo-control\[{name}\]'"):
        check_tracker(name)


def fill(tracker: Tracker, picture: Path) -> None:
    """Tell a tracker one of everything."""
    tracker.log_scalars({"train/loss": 2.0, "meta_validation/final_loss/a+b": 1.0}, 5)
    tracker.log_picture("figures/one", picture.read_bytes(), 5)
    tracker.log_text("run/card", "**good**", 5)
    tracker.log_histogram("moves", Histogram(edges=[0.0, 1.0, 2.0], counts=[3.0, 1.0]), 5)
    tracker.close(is_complete=True)


@pytest.mark.filterwarnings("ignore")  # those of mlflow and its database
def test_mlflow_takes_everything_and_goes_on(tmp_path: Path, picture: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    folder = tmp_path / "run"
    folder.mkdir()
    first = start_tracker("mlflow", "run", {"seed": 1}, folder)
    fill(first, picture)
    again = start_tracker("mlflow", "run", {"seed": 1}, folder, first.identity)
    again.log_scalars({"train/loss": 1.0}, 6)
    again.close(is_complete=False)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = client.get_run(first.identity)
    assert run.data.params == {"seed": "1"}
    assert run.data.metrics["meta_validation/final_loss/a_b"] == 1.0
    history = client.get_metric_history(first.identity, "train/loss")
    assert [(point.step, point.value) for point in history] == [(5, 2.0), (6, 1.0)]
    assert run.info.status == "KILLED"
    files = {path.name for path in tmp_path.glob("mlartifacts/**/*") if path.is_file()}
    assert files == {"5.png", "5.md", "5.json"}


@pytest.mark.filterwarnings("ignore")  # those of wandb
def test_wandb_takes_everything_without_a_network(
    tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb", reason="needs the extra wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracker = start_tracker("wandb", "run", {"seed": 1}, tmp_path)
    fill(tracker, picture)
    wandb.teardown()  # ends the process that writes the file
    (written,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    content = written.read_bytes()
    for tag in (b"train/loss", b"figures/one", b"run/card", b"moves"):
        assert tag in content
