"""A user's own data as a task: how it is said, and that it stays the same data."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

from hpo_env.datasets import Reading
from hpo_env.errors import ConfigurationError, DatasetError
from hpo_env.tasks.registry import make_family
from hpo_env.tasks.supervised.data import SupervisedTask, prepare
from hpo_env.tasks.supervised.family import SupervisedFamily

R = 60


def frame(seed: int = 0) -> pd.DataFrame:
    a = np.random.default_rng(seed).normal(size=R)
    return pd.DataFrame({"a": a, "b": np.arange(R), "y": np.arange(R) % 4})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    frame().to_csv(tmp_path / "mine.csv", index=False)
    return tmp_path / "mine.csv"


def draw(family: Any) -> SupervisedTask:
    task = family.sample(np.random.default_rng(0))
    assert isinstance(task, SupervisedTask)
    return task


def test_kind_reaches_the_task(path: Path) -> None:
    assert (
        prepare(draw(SupervisedFamily(dataset=path, target="y"))).objective.name == "classification"
    )
    family = SupervisedFamily(dataset=path, target="y", kind="regression")
    assert prepare(draw(family)).objective.name == "regression"


def test_how_text_is_read_reaches_the_task(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    frame().assign(b=["?" if i == 7 else f"{i}" for i in range(R)]).to_csv(path, index=False)
    with pytest.raises(DatasetError, match=r"missing=\[\"\?\"\]"):
        SupervisedFamily(dataset=path, target="y")
    task = draw(make_family("supervised", dataset=str(path), target="y", missing=["?"]))
    assert task.num_features == 2
    assert prepare(task).num_features == 2


def test_a_task_of_a_file_is_plain_data(path: Path) -> None:
    options: dict[str, Any] = {"missing": ["?"], "dates": {}, "units": "kg", "kind": "regression"}
    task = draw(SupervisedFamily(dataset=path, target="y", **options))
    read = json.loads(json.dumps(task.to_json()))
    again = {"initial": tuple(read["initial"]), "reading": Reading.of(**read["reading"])}
    assert SupervisedTask(**read | again) == task


def test_tasks_of_named_data_sets_say_nothing_of_files() -> None:
    written = draw(SupervisedFamily(dataset="digits", split="test")).to_json()
    assert not {"kind", "reading", "fingerprint"} & set(written)


def test_a_path_that_is_not_utf_8_is_as_good_as_others(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv"))
    frame().to_csv(path, index=False)
    task = draw(SupervisedFamily(dataset=path, target="y"))
    assert task.name.encode() == rb"\udcff.csv"
    read = json.loads(json.dumps(task.to_json()))
    assert prepare(SupervisedTask(**read | {"initial": tuple(read["initial"])})).num_features == 2
    env = gym.make("HPOControl-v0", dataset=str(path), target="y", engine="eager", num_decisions=1)
    env.reset(seed=0)
    assert env.step(env.action_space.sample())[4]["task"].isprintable()


def test_a_path_means_the_same_in_every_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(path.parent)
    family = SupervisedFamily(dataset="mine.csv", target="y")
    task = draw(family)
    assert family.pinned_options()["dataset"] == task.dataset == str(path)
    other = tmp_path_factory.mktemp("other")
    frame(seed=1).to_csv(other / "mine.csv", index=False)
    monkeypatch.chdir(other)
    assert len(prepare(task).train) == 36


def test_a_file_that_has_changed_is_refused(path: Path) -> None:
    options: dict[str, Any] = {"dataset": "elsewhere.csv", "target": "y"}
    family = SupervisedFamily(**options | {"dataset": path})
    task, pinned = draw(family), options | family.pinned_options()
    SupervisedFamily(**pinned)
    frame(seed=1).to_csv(path, index=False)
    with pytest.raises(DatasetError, match=r"mine\.csv: the data has changed.*dataset=PATH"):
        prepare(task)
    with pytest.raises(DatasetError, match=r"mine\.csv: the data has changed"):
        SupervisedFamily(**pinned)


def test_a_file_may_move_and_change_its_format(path: Path) -> None:
    pinned = SupervisedFamily(dataset=path, target="y").pinned_options()
    moved = path.with_name("moved.parquet")
    frame().to_parquet(moved)
    path.unlink()
    again = SupervisedFamily(**pinned | {"dataset": moved, "target": "y"})
    assert again.pinned_options() == {"dataset": str(moved), "fingerprint": pinned["fingerprint"]}


def test_named_data_sets_need_no_pin() -> None:
    assert SupervisedFamily(dataset="digits").pinned_options() == {}
    assert make_family("quadratic").pinned_options() == {}


def test_a_table_in_memory_is_trained_on_and_goes_along_into_another_process() -> None:
    family = SupervisedFamily(dataset=frame(), target="y")
    task = draw(family)
    assert prepare(task).num_outputs == 4
    again = pickle.loads(pickle.dumps(family))
    assert draw(again) == task
    assert prepare(draw(SupervisedFamily(dataset=(frame()[["a"]], frame()["y"])))).num_features == 1


@pytest.mark.parametrize(("centre", "scale"), [(0.0, 1.0), (1e9, 1.0), (-1e12, 1e3), (0.0, 1e-25)])
def test_no_place_and_no_scale_of_the_numbers_hides_what_they_differ_in(
    centre: float, scale: float
) -> None:
    numbers = centre + scale * np.random.default_rng(0).normal(size=(R, 3))
    task = draw(SupervisedFamily(dataset=(numbers[:, :2], numbers[:, 2])))
    train = prepare(task).train
    np.testing.assert_allclose(train.x.std(axis=0), 1.0, atol=1e-3)
    assert train.y.std() == pytest.approx(1.0, abs=1e-3)
    assert len(np.unique(train.y)) == len(train)


def test_the_environment_takes_a_table_in_memory_and_how_its_text_is_read() -> None:
    table = frame().assign(b=["?" if i == 7 else f"{i}" for i in range(R)])
    env = gym.make(
        "HPOControl-v0",
        dataset=table,
        target="y",
        missing=["?"],
        kind="regression",
        num_decisions=2,
    )
    env.reset(seed=0)
    reward = env.step(env.action_space.sample())[1]
    assert np.isfinite(float(reward))


def test_a_table_in_memory_cannot_be_pinned() -> None:
    family = SupervisedFamily(dataset=frame(), target="y")
    with pytest.raises(ConfigurationError, match=r"in memory cannot be written down.*to_parquet"):
        family.pinned_options()


@pytest.mark.parametrize("options", [{"target": "y"}, {"kind": "regression"}, {"missing": "?"}])
def test_words_about_a_file_need_a_file(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(options))}.*needs a dataset"):
        SupervisedFamily(**options)
