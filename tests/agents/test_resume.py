"""A run that is killed or interrupted, and resumed, ends as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import tags
from agents.checkpoints import checkpoint_path
from agents.config import TrainConfig
from agents.meta_training import meta_train
from agents.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
TinyConfig = Callable[..., TrainConfig]

SETTINGS: dict[str, Any] = {
    "family": "quadratic",
    "num_envs": 16,
    "num_decisions": 12,
    "steps": 12_000,
    "segment_steps": 1_500,
    "validation_lanes": 8,
    "seed": 5,
}


def start(run_dir: Path) -> subprocess.Popen[str]:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    return subprocess.Popen(
        [sys.executable, "meta_train.py", *flags, "--run-dir", str(run_dir), "--progress", "lines"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_checkpoint(process: subprocess.Popen[str], run_dir: Path, segment: int) -> Path:
    """Wait until a segment is on disk; return the run folder."""
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        for path in run_dir.glob(f"*/checkpoints/segment-{segment:06d}.safetensors"):
            return path.parent.parent
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)
    raise AssertionError("no checkpoint in 60 s")


@pytest.fixture
def started(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(tmp_path / "killed")
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = TrainConfig(**SETTINGS, run_dir=tmp_path_factory.mktemp("whole"), progress="quiet")
    return meta_train(config)


def final_tensors(folder: Path) -> dict[str, torch.Tensor]:
    last = sorted((folder / "checkpoints").iterdir())[-1]
    return safetensors.torch.load_file(last)


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def assert_same_run(folder: Path, whole: Path) -> None:
    expected, got = final_tensors(whole), final_tensors(folder)
    assert expected.keys() == got.keys()
    for name in expected:
        assert torch.equal(expected[name], got[name]), name
    for tag in (tags.SCORE, tags.RETURN, "train/value_loss"):
        assert curve(folder, tag) == curve(whole, tag), tag
    timeless = [
        [{**line, "seconds": 0} for line in RunFolder(path).read_progress()]
        for path in (folder, whole)
    ]
    assert timeless[0] == timeless[1]
    policies = [(path / "policy" / "policy.safetensors").read_bytes() for path in (folder, whole)]
    assert policies[0] == policies[1]


def test_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(
    started: subprocess.Popen[str], uninterrupted: Path, tmp_path: Path
) -> None:
    folder = wait_for_checkpoint(started, tmp_path / "killed", segment=2)
    time.sleep(0.15)  # into the next segment
    started.send_signal(signal.SIGKILL)
    started.wait(timeout=30)
    assert not (folder / "result.json").exists()
    meta_train(TrainConfig(resume=folder, progress="quiet"))
    assert_same_run(folder, uninterrupted)


def test_ctrl_c_says_how_to_resume_exits_130_and_loses_no_finished_segment(
    started: subprocess.Popen[str], uninterrupted: Path, tmp_path: Path
) -> None:
    folder = wait_for_checkpoint(started, tmp_path / "killed", segment=1)
    started.send_signal(signal.SIGINT)
    output, _ = started.communicate(timeout=60)
    assert started.returncode == 130, output
    assert f"--resume {folder}" in output
    assert "Traceback" not in output
    assert (folder / "policy" / "controller.json").exists()
    meta_train(TrainConfig(resume=folder, progress="quiet"))
    assert_same_run(folder, uninterrupted)


class CrashError(Exception):
    pass


@pytest.mark.parametrize(
    ("agent", "settings"),
    [
        ("a2c", {}),
        ("recurrent_ppo", {"n_steps": 6}),
        ("sac", {}),
        ("td3", {}),
        ("tqc", {}),
        ("dqn", {}),
        ("ars", {}),
    ],
)
def test_every_agent_resumes_exactly(
    agent: str,
    settings: dict[str, int],
    tiny: TinyConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tiny(agent=agent, steps=600, segment_steps=200, **settings)
    if agent in ("sac", "td3", "tqc", "dqn"):
        config = config.with_values(
            learning_starts=100, buffer_size=400, batch_size=32, gradient_steps=1
        )
    whole = meta_train(replace(config, run_dir=tmp_path / "whole"))
    folder = crash_in_segment(2, config, monkeypatch)
    meta_train(TrainConfig(resume=folder, progress="quiet"))
    expected, got = final_tensors(whole), final_tensors(folder)
    assert expected.keys() == got.keys()
    for name in expected:
        assert torch.equal(expected[name], got[name]), name


def crash_in_segment(segment: int, config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Train, and fail between the end of a segment's training and its checkpoint."""
    import agents.meta_training
    import agents.validation

    calls = []

    def validate(*args: object) -> object:
        calls.append(args)
        if len(calls) == segment:
            raise CrashError
        return original(*args)  # type: ignore[arg-type]

    original = agents.validation.validate_policy
    with monkeypatch.context() as patch:
        patch.setattr(agents.meta_training, "validate_policy", validate)
        with pytest.raises(CrashError):
            meta_train(config)
    (folder,) = config.run_dir.iterdir()
    return folder


def test_a_run_that_began_with_flat_settings_resumes_exactly(
    tiny: TinyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny()
    whole = meta_train(replace(config, run_dir=tmp_path / "whole"))
    folder = crash_in_segment(2, config, monkeypatch)
    data = json.loads((folder / "config.json").read_text())
    others = {"buffer_size": None, "learning_starts": None, "gradient_steps": None}
    flat = {n: v for n, v in data.items() if n != "settings"} | data["settings"] | others
    (folder / "config.json").write_text(json.dumps(flat))
    meta_train(TrainConfig(resume=folder, progress="quiet"))
    expected, got = final_tensors(whole), final_tensors(folder)
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    tiny: TinyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny()
    whole = meta_train(replace(config, run_dir=tmp_path / "whole"))
    folder = crash_in_segment(3, config, monkeypatch)
    newest = checkpoint_path(folder / "checkpoints", 2)
    content = bytearray(newest.read_bytes())
    content[-5] ^= 0xFF
    newest.write_bytes(content)
    meta_train(TrainConfig(resume=folder, progress="quiet"))
    expected, got = final_tensors(whole), final_tensors(folder)
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_resuming_a_finished_run_changes_nothing(tiny: TinyConfig) -> None:
    folder = meta_train(tiny())
    before = (folder / "result.json").read_text()
    meta_train(TrainConfig(resume=folder, progress="quiet"))
    assert (folder / "result.json").read_text() == before
