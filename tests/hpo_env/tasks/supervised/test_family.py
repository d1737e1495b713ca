"""The supervised family draws tasks from its own side, and refuses what cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from hpo_env.datasets import dataset_names
from hpo_env.errors import ConfigurationError, DatasetError, UnknownNameError
from hpo_env.networks.optimizers import trained_optimizers
from hpo_env.networks.registry import ARCHITECTURES
from hpo_env.tasks.base import Split
from hpo_env.tasks.registry import make_family
from hpo_env.tasks.supervised.data import SupervisedTask
from hpo_env.tasks.supervised.family import SupervisedFamily

SPLITS = get_args(Split)


def draw(num: int = 60, **options: Any) -> list[SupervisedTask]:
    family = SupervisedFamily(**options)
    rng = np.random.default_rng(0)
    return [family.sample(rng) for _ in range(num)]


def initial(task: SupervisedTask, name: str) -> float:
    names = [h.name for h in SupervisedFamily.hyperparameters]
    return task.initial[names.index(name)]


@pytest.mark.parametrize("split", SPLITS)
def test_data_sets_and_architectures_come_from_the_splits_side(split: Split) -> None:
    tasks = draw(split=split)
    assert {t.dataset for t in tasks} <= set(dataset_names(split=split))
    assert {ARCHITECTURES[t.architecture].split for t in tasks} == {split}
    assert {t.optimizer for t in tasks} == set(trained_optimizers())


def test_no_data_set_and_no_architecture_lies_on_two_sides() -> None:
    sides = [{t.dataset for t in draw(300, split=split)} for split in SPLITS]
    assert all(not sides[i] & sides[j] for i, j in [(0, 1), (0, 2), (1, 2)])


def test_test_data_can_be_met_by_training_architectures() -> None:
    tasks = draw(split="test", architectures="train")
    assert {t.dataset for t in tasks} <= set(dataset_names(split="test"))
    assert {ARCHITECTURES[t.architecture].split for t in tasks} == {"train"}


def test_convolutions_meet_images_only() -> None:
    tasks = draw(300, split="test")
    with_cnn = {t.dataset for t in tasks if ARCHITECTURES[t.architecture].images_only}
    assert with_cnn == {"digits"}
    assert {t.dataset for t in draw(10, split="test", model="cnn_8x8")} == {"digits"}


def test_convolutions_meet_images_of_their_own_shape_only() -> None:
    drawn = draw(300, split="test", dataset="digits")
    assert "cnn_8x8" in {t.architecture for t in drawn}
    assert "cnn_28x28" not in {t.architecture for t in drawn}
    with pytest.raises(ConfigurationError, match=r"needs images of shape \(1, 28, 28\)"):
        SupervisedFamily(split="test", dataset="digits", model="cnn_28x28")


def test_images_of_a_file_meet_the_convolutions_of_their_shape(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    rng = np.random.default_rng(0)
    np.savez(path, x=rng.normal(size=(100, 1, 28, 28)), y=np.arange(100) % 5)
    drawn = draw(300, split="test", dataset=path, target="y")
    assert "cnn_28x28" in {t.architecture for t in drawn}
    assert "cnn_8x8" not in {t.architecture for t in drawn}


def test_training_tasks_are_varied_and_the_others_are_not() -> None:
    train = draw(200, split="train")
    assert len({t.num_rows for t in train}) > 50
    assert 0.15 < np.mean([t.label_noise > 0 for t in train]) < 0.35  # a half of a half
    decisions = [t.num_decisions for t in train]
    assert 15 <= min(decisions) < 18 < 50 < max(decisions) <= 60
    assert max(t.num_features for t in train) == 32
    for split in ("validation", "test"):
        for t in draw(split=split):
            assert (t.label_noise, t.target_noise, t.input_scale) == (0.0, 0.0, 1.0)
            assert t.num_decisions == 30


def is_varied(task: SupervisedTask) -> bool:
    return (task.label_noise, task.target_noise, task.input_scale) != (0.0, 0.0, 1.0)


@pytest.mark.parametrize("augmented", [0.0, 0.25, 0.5, 1.0])
def test_a_share_of_training_tasks_is_varied(augmented: float) -> None:
    tasks = draw(400, split="train", augmented=augmented)
    assert np.mean([is_varied(t) for t in tasks]) == pytest.approx(augmented, abs=0.06)
    whole = {t.dataset: t.num_rows for t in draw(400, split="train", augmented=0.0)}
    as_they_are = [t for t in tasks if not is_varied(t)]
    assert all(t.num_rows == whole[t.dataset] for t in as_they_are)


@pytest.mark.parametrize("augmented", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(augmented: float) -> None:
    with pytest.raises(ConfigurationError, match=r"augmented must lie in \[0, 1\]"):
        SupervisedFamily(augmented=augmented)


def test_other_splits_and_named_data_sets_are_never_varied() -> None:
    for options in ({"split": "validation"}, {"split": "test"}, {"dataset": "leaves"}):
        tasks = draw(40, augmented=1.0, **options)
        assert not any(is_varied(t) for t in tasks)
        assert tasks == draw(40, augmented=0.0, **options)


def test_learning_rates_spread_over_decades_and_further_for_sgd() -> None:
    tasks = draw(400, split="test")
    for optimizer, high in (("adamw", 1e-1), ("rmsprop", 1e-1), ("sgd", 1.0)):
        rates = [initial(t, "learning_rate") for t in tasks if t.optimizer == optimizer]
        assert 1e-5 <= min(rates) < 1e-4
        assert high / 10 < max(rates) <= high


def test_given_initial_values_and_ranges_replace_the_familys() -> None:
    tasks = draw(initial={"learning_rate": 1e-3, "momentum": (0.5, 0.99), "dropout": (0.0, 0.4)})
    assert {initial(t, "learning_rate") for t in tasks} == {1e-3}
    momenta = np.array([initial(t, "momentum") for t in tasks])
    assert 0.5 <= momenta.min() < 0.7 < 0.97 < momenta.max() <= 0.99
    dropouts = np.array([initial(t, "dropout") for t in tasks])
    assert 0.0 <= dropouts.min() < 0.1 < 0.3 < dropouts.max() <= 0.4


def test_initial_values_lie_inside_the_hyperparameters_ranges() -> None:
    for task in draw(100):
        for value, h in zip(task.initial, SupervisedFamily.hyperparameters, strict=True):
            assert h.low <= value <= h.high, h.name


def test_tasks_are_plain_data_and_the_same_for_the_same_generator() -> None:
    assert draw() == draw()
    for task in draw(10):
        read = json.loads(json.dumps(task.to_json()))
        assert SupervisedTask(**read | {"initial": tuple(read["initial"])}) == task


def test_a_data_set_asked_for_by_name_keeps_all_its_features() -> None:
    assert {t.num_features for t in draw(5, split="test", dataset="leaves")} == {54}
    assert max(t.num_features for t in draw(40, split="test")) == 64  # an image
    tables = [t for t in draw(100, split="test") if t.dataset != "digits"]
    assert max(t.num_features for t in tables) == 32


def test_a_users_file_is_trained_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 40)).astype(np.float32)
    path = tmp_path / "mine.npz"
    np.savez(path, x=x, label=(x.sum(axis=1) > 0).astype(np.int64))
    options: dict[str, Any] = {"split": "test", "optimizer": "adamw", "model": "mlp_64x2"}
    family = SupervisedFamily(
        dataset=path, target="label", initial={"learning_rate": 3e-3}, **options
    )
    task = family.sample(rng)
    assert (task.num_features, task.num_rows) == (40, 200)
    trainer = family.make_trainer(1, engine="eager")
    first = trainer.reset(np.array([0]), [task], [0])
    for _ in range(10):
        last, _ = trainer.advance(np.array([task.initial]))
    assert last.validation_loss[0] < first.validation_loss[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"optimizer": "adam"}, UnknownNameError, "did you mean 'adamw'"),
        ({"model": "mlp_64x3"}, UnknownNameError, "did you mean 'mlp_64x"),
        ({"dataset": "digit"}, UnknownNameError, "did you mean 'digits'"),
        ({"split": "tests"}, UnknownNameError, "did you mean 'test'"),
        ({"architectures": "tests"}, UnknownNameError, "did you mean 'test'"),
        ({"updates_per_decision": 0}, ConfigurationError, "updates_per_decision must be a pos"),
        ({"num_decisions": 0}, ConfigurationError, "num_decisions must be a pos"),
        ({"target": "y"}, ConfigurationError, "needs a dataset"),
        ({"model": "cnn_8x8", "dataset": "diabetes"}, ConfigurationError, "has them not"),
        ({"model": "cnn_8x8", "split": "train"}, ConfigurationError, "Models for tables: mlp_32"),
        ({"initial": {"lr": 1e-3}}, UnknownNameError, "unknown hyperparameter 'lr'"),
        ({"initial": {"learning_rate": (1e-2, 1e-3)}}, ConfigurationError, "low <= high"),
        ({"initial": {"learning_rate": 3.0}}, ConfigurationError, "initial learning_rate"),
        ({"initial": {"dropout": (0.0, float("nan"))}}, ConfigurationError, "initial dropout"),
        ({"dataset": "no/such.csv", "target": "y"}, DatasetError, "no such file"),
        ({"dataset": "digits", "target": "y"}, DatasetError, "target of its own"),
        ({"batch": 3}, ConfigurationError, "batch"),
    ],
)
def test_bad_options_are_refused_with_what_is_allowed(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_family("supervised", **options)


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'eager'"):
        SupervisedFamily().make_trainer(1, engine="eagre")  # type: ignore[arg-type]
