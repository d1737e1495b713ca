from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents.checkpoints
from agents import tags
from agents.config import TrainConfig
from agents.factory import make_env, make_learner
from agents.learners.registry import LEARNERS
from agents.learners.sb3 import PPO
from agents.meta_training import meta_train
from agents.run_folder import RunFolder
from agents.validation import validate_policy
from hpo_env.errors import ConfigurationError, ContractError, MissingExtraError, RunFolderError
from hpo_env.policy_file import load
from hpo_env.tasks.quadratic import QuadraticFamily, QuadraticTrainer
from hpo_env.telemetry import Telemetry
from hpo_env.whole_files import write_atomically

TinyConfig = Callable[..., TrainConfig]


def scalars(folder: Path) -> dict[str, list[int]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [e.step for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def is_described(tag: str) -> bool:
    """Whether the table of tags has this one."""
    for known in tags.TAGS:
        parts = known.name.split("/")
        given = tag.split("/")
        if len(parts) == len(given) and all(
            "{" in part or part == word for part, word in zip(parts, given, strict=True)
        ):
            return True
    return False


def small(agent: str, config: TrainConfig) -> TrainConfig:
    if agent == "ars":
        return config.with_values(agent=agent)
    if agent in ("ppo", "a2c", "recurrent_ppo"):
        return config.with_values(agent=agent, n_steps=6)
    return config.with_values(
        agent=agent, learning_starts=100, buffer_size=500, batch_size=32, gradient_steps=1
    )


@pytest.mark.parametrize("agent", LEARNERS)
def test_every_agent_trains_logs_and_leaves_a_whole_folder(agent: str, tiny: TinyConfig) -> None:
    config = small(agent, tiny(steps=600, segment_steps=300))
    folder = meta_train(config)
    result = json.loads((folder / "result.json").read_text())
    assert result["complete"] is True
    assert result["steps"] >= 600
    assert 1 <= result["best_segment"] <= len(config.resolved().segment_bounds())
    for name in ("config.json", "command.txt", "versions.json", "progress.jsonl"):
        assert (folder / name).stat().st_size > 0
    assert load(folder / result["policy"]).family == "quadratic"
    written = scalars(folder)
    undescribed = [tag for tag in written if not is_described(tag)]
    assert undescribed == []
    expected = {
        tags.RETURN,
        tags.SCORE,
        tags.ROLLED_BACK,
        tags.FINAL_LOSS.format(dataset="quadratic"),
        tags.QUANTILE.format(hyperparameter="learning_rate", quantile="p90"),
        tags.BY_THIRD.format(hyperparameter="learning_rate", third="last"),
        tags.ACTION_SATURATION.format(hyperparameter="learning_rate"),
        tags.STEPS_PER_SECOND,
        "train/learning_rate",
    }
    assert expected <= written.keys()
    assert written[tags.SCORE] == [line["steps"] for line in RunFolder(folder).read_progress()]


class Unwritable(PPO):
    """An agent whose policy no file can hold."""

    name = "un/writable"
    no_policy = "its thoughts are too deep"


def test_an_agent_without_a_policy_says_so_at_the_start_and_leaves_none(
    tiny: TinyConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = f"{__name__}:Unwritable"
    folder = meta_train(tiny(agent=agent, n_steps=6, steps=100, progress="lines"))
    shown = capsys.readouterr().out
    assert shown.index("no policy is exported: its thoughts") < shown.index("validation")
    assert json.loads((folder / "result.json").read_text())["policy"] is None
    assert not (folder / "policy").exists()


class Outsider(QuadraticFamily):
    """A family that no registry holds."""

    name = "out/sider"


def test_family_and_agent_from_outside_train_resume_and_leave_a_folder_with_a_safe_name(
    tiny: TinyConfig,
) -> None:
    family, agent = f"{__name__}:Outsider", f"{__name__}:Unwritable"
    folder = meta_train(tiny(family=family, agent=agent, n_steps=6, steps=100))
    assert folder.name.startswith("out_sider-un_writable-seed0-")
    config = json.loads((folder / "config.json").read_text())
    assert (config["family"], config["agent"]) == (family, agent)
    meta_train(TrainConfig(resume=folder, progress="quiet"))
    policy = load(meta_train(tiny(family=family, n_steps=6, steps=100)) / "policy")
    assert policy.family == family


def test_the_learning_rate_falls_over_the_whole_run_and_not_in_each_segment(
    tiny: TinyConfig,
) -> None:
    folder = meta_train(tiny(learning_rate=1e-3, n_steps=6))
    events = EventAccumulator(str(folder)).Reload()
    rates = [event.value for event in events.Scalars("train/learning_rate")]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == 5  # four segments, the last of them cut short
    assert rates[0] > 7e-4  # at the end of the first
    assert rates[-1] == pytest.approx(2e-5, rel=1e-3)


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(sorted((folder / "checkpoints").iterdir())[-1])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tiny: TinyConfig, tmp_path: Path
) -> None:
    runs = [
        final_weights(meta_train(tiny(seed=seed, run_dir=tmp_path / str(i))))
        for i, seed in enumerate([1, 1, 2])
    ]
    name = "policy/action_net.weight"
    assert torch.equal(runs[0][name], runs[1][name])
    assert not torch.equal(runs[0][name], runs[2][name])


def test_the_checkpoint_with_the_highest_score_is_the_one_exported(
    tiny: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.0, 3.0, 1.0, 2.0])

    def validate(*args: Any) -> Any:
        return replace(validate_policy(*args), score=next(scores))

    monkeypatch.setattr("agents.meta_training.validate_policy", validate)
    folder = meta_train(tiny(steps=1200, segment_steps=320))
    kept = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert kept == [f"segment-{k:06d}.safetensors" for k in (2, 3, 4)]
    result = json.loads((folder / "result.json").read_text())
    assert (result["best_segment"], result["score"]) == (2, 3.0)
    best = safetensors.torch.load_file(folder / "checkpoints" / kept[0])
    exported = safetensors.torch.load_file(folder / "policy" / "policy.safetensors")
    assert torch.equal(exported["layers.2.bias"], best["policy/action_net.bias"])


def test_validation_is_repeatable_and_counts_one_episode_a_lane(tiny: TinyConfig) -> None:
    config = tiny().resolved()
    env = make_env(config, split="validation", num_envs=6)
    learner = make_learner(config, make_env(config, split="train", num_envs=config.num_envs))
    first = validate_policy(learner, env)
    assert validate_policy(learner, env) == first
    other = validate_policy(learner, env, seed=7)
    assert other.score != first.score


def test_validation_says_how_often_the_guard_stepped_in(tiny: TinyConfig) -> None:
    options = {"dataset": "diabetes", "model": "mlp_32x2_relu", "optimizer": "sgd"}
    shares = {}
    for rate in (1e-4, 1.0):
        config = tiny(
            family="supervised",
            num_envs=4,
            engine="eager",
            family_options={**options, "initial": {"learning_rate": rate}},
        ).resolved()
        env = make_env(config, split="validation", num_envs=4)
        learner = make_learner(config, make_env(config, split="train", num_envs=4))
        shares[rate] = validate_policy(learner, env).rolled_back
    assert shares[1e-4] == 0.0
    assert 0.0 < shares[1.0] < 1.0


def test_runs_that_begin_in_one_second_have_a_folder_each(tiny: TinyConfig) -> None:
    config, moment = tiny(steps=100).resolved(), datetime(2026, 1, 1, tzinfo=UTC)
    folder = RunFolder.create(config, now=moment)
    before = {path: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}
    others = [RunFolder.create(config, now=moment).path for _ in range(2)]
    assert [path.name for path in others] == [f"{folder.path.name}-2", f"{folder.path.name}-3"]
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_folder_is_no_place_for_other_runs(tiny: TinyConfig) -> None:
    folder = RunFolder.create(tiny().resolved())
    with pytest.raises(RunFolderError, match="is itself the folder of a run"):
        meta_train(tiny(run_dir=folder.path))


def test_a_run_dir_that_cannot_be_written_is_an_error(tiny: TinyConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        meta_train(tiny(run_dir=tmp_path / "file"))


def test_a_configuration_that_fails_leaves_no_folder(tiny: TinyConfig) -> None:
    config = tiny(hyperparameters=("learning_rat",))
    with pytest.raises(ValueError, match="did you mean 'learning_rate'"):
        meta_train(config)
    assert not config.run_dir.exists()


def test_resuming_what_is_no_run_is_an_error(tmp_path: Path, tiny: TinyConfig) -> None:
    existing = RunFolder.create(tiny(run_dir=tmp_path).resolved()).path
    with pytest.raises(RunFolderError, match=f"no run folder.*{existing.name}"):
        meta_train(TrainConfig(resume=tmp_path / "missing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunFolderError, match=r"has no config.json"):
        meta_train(TrainConfig(resume=tmp_path / "empty"))
    with pytest.raises(RunFolderError, match="stopped before its first one"):
        meta_train(TrainConfig(resume=existing))
    (existing / "config.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"config.json cannot be used"):
        meta_train(TrainConfig(resume=existing))


def test_a_checkpoint_of_another_shape_is_an_error(tiny: TinyConfig) -> None:
    folder = meta_train(tiny(steps=100))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"settings": config["settings"] | {"net_arch": [8]}})
    )
    with pytest.raises(RunFolderError, match="does not fit the run's configuration"):
        meta_train(TrainConfig(resume=folder, progress="quiet"))


def test_checkpoints_that_are_all_damaged_are_an_error_that_names_each(tiny: TinyConfig) -> None:
    folder = meta_train(tiny(steps=100))
    paths = list((folder / "checkpoints").iterdir())
    for path in paths:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunFolderError, match=r"no usable checkpoint") as info:
        meta_train(TrainConfig(resume=folder, progress="quiet"))
    assert all(path.name in str(info.value) for path in paths)


def test_a_full_disk_is_explained_and_the_last_checkpoint_is_intact(
    tiny: TinyConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original = write_atomically

    def write(path: Path, content: bytes) -> None:
        if path.name == "segment-000002.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device")
        original(path, content)

    whole = meta_train(tiny(run_dir=tmp_path / "whole"))
    with monkeypatch.context() as patch:
        patch.setattr(agents.checkpoints, "write_atomically", write)
        with pytest.raises(RunFolderError, match=r"the disk is full.*intact.*--resume"):
            meta_train(tiny())
    (folder,) = (tmp_path / "logs").iterdir()
    meta_train(TrainConfig(resume=folder, progress="quiet"))
    expected, got = final_weights(whole), final_weights(folder)
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(OSError, match="No space"):
            write_atomically(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("agent", ["tqc", "recurrent_ppo"])
def test_a_missing_extra_is_named_with_the_install_command(
    agent: str, tiny: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("agents.learners.sb3.import_module", refuse)
    config = tiny(agent=agent)
    with pytest.raises(MissingExtraError, match=r"pip install 'hpo-control\[contrib\]'"):
        meta_train(config)
    assert not config.run_dir.exists()


def test_dqn_refuses_more_joint_choices_than_it_can_learn(tiny: TinyConfig) -> None:
    config = tiny(family="supervised", agent="dqn", hyperparameters="all", num_decisions=None)
    with pytest.raises(ConfigurationError, match="at most 625"):
        meta_train(replace(config, engine="eager"))


def test_other_versions_at_resumption_are_mentioned(
    tiny: TinyConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = meta_train(tiny(steps=100))
    versions = json.loads((folder / "versions.json").read_text())
    (folder / "versions.json").write_text(json.dumps(versions | {"torch": "1.0"}))
    meta_train(TrainConfig(resume=folder, progress="lines"))
    assert "torch was 1.0 when the run began" in capsys.readouterr().out


@pytest.mark.parametrize("progress", ["bar", "lines", "quiet", "auto"])
def test_every_display_shows_a_run(
    progress: str, tiny: TinyConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    meta_train(tiny(steps=600, progress=progress))
    shown = capsys.readouterr().out
    assert ("validation" in shown) == (progress != "quiet")


def test_a_family_that_breaks_its_contract_leaves_no_folder(
    tiny: TinyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upside_down(self: QuadraticTrainer, *arguments: Any) -> Telemetry:
        telemetry = usual(self, *arguments)
        return replace(telemetry, validation_loss=-telemetry.validation_loss)

    usual = QuadraticTrainer.reset
    monkeypatch.setattr(QuadraticTrainer, "reset", upside_down)
    with pytest.raises(ContractError, match="validation_loss must not be negative"):
        meta_train(tiny(run_dir=tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()
