"""Tasks of images under batch norm: what is drawn, and running averages as a part of a lane."""

from __future__ import annotations

import numpy as np
import pytest

from hpo_env.datasets import image_names, load_dataset
from hpo_env.errors import ConfigurationError
from hpo_env.networks.registry import ARCHITECTURES, ModelSpec
from hpo_env.tasks.base import Engine
from hpo_env.tasks.supervised.data import SupervisedTask
from hpo_env.tasks.supervised.family import SupervisedFamily
from tests.hpo_env.tasks.supervised.runs import IMAGES, task, trainer, values

MODEL = "resnet_12x12"
ENGINES: tuple[Engine, ...] = ("native", "eager", "reference")


def draws(number: int = 40, **options: object) -> list[SupervisedTask]:
    family = SupervisedFamily(**options)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    return [family.sample(rng) for _ in range(number)]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_side_has_images_and_models_of_its_own(split: str) -> None:
    seen = draws(split=split, modalities="images")
    assert {t.dataset for t in seen} == set(image_names(split=split))  # type: ignore[arg-type]
    models = {ARCHITECTURES[t.architecture] for t in seen}
    assert {(m.modality, m.split) for m in models} == {("images", split)}
    for drawn in seen:
        assert ARCHITECTURES[drawn.architecture].fits(load_dataset(drawn.dataset).image_shape)


def test_default_draws_and_digits_by_name_have_no_batch_norm() -> None:
    for drawn in (*draws(), *draws(split="test"), *draws(split="test", dataset=IMAGES)):
        assert ARCHITECTURES[drawn.architecture].modality == "tables"


def test_a_model_without_images_of_its_size_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"needs images of shape \(1, 8, 8\), and no set"):
        SupervisedFamily(model="resnet_8x8")
    with pytest.raises(ConfigurationError, match="no model of side 'train' takes the images of"):
        SupervisedFamily(dataset=IMAGES, modalities="images")


def test_patches_are_labelled_by_where_they_come_from() -> None:
    photograph = load_dataset("photograph_temple")
    assert photograph.x.shape == (35 * 53, 144)
    counts = np.bincount(photograph.y)
    assert len(counts) == 8
    assert counts.max() <= 1.2 * counts.min()
    sky, ground = (photograph.x[photograph.y == part].mean() for part in (0, 4))
    assert sky != pytest.approx(ground, rel=0.05)


@pytest.mark.parametrize("engine", ENGINES)
def test_averages_are_rolled_back_and_copied_with_the_weights(engine: Engine) -> None:
    tasks = draws(2, model=MODEL)
    runner, lanes = trainer(2, engine, updates=3), np.arange(2)
    runner.reset(lanes, list(tasks), [0, 1])
    before = np.array(runner.test(lanes))
    table = values(tasks, learning_rate=0.0, weight_decay=0.1)
    moved, _ = runner.advance(table)  # at rate 0 the averages move alone
    assert (np.array(runner.test(lanes)) != before)[0].all()
    np.testing.assert_array_equal(moved.update_ratio, 0.0)
    saved = runner.snapshot(lanes)
    after = np.array(runner.test(lanes))
    runner.roll_back(lanes)
    np.testing.assert_array_equal(np.array(runner.test(lanes)), before)
    runner.restore(lanes, saved)
    np.testing.assert_array_equal(np.array(runner.test(lanes)), after)


def test_averages_are_no_weights_to_norms_of_weights_and_updaters() -> None:
    spec = ModelSpec(MODEL, num_inputs=144, num_outputs=16)
    parameters = spec.parameters()
    averages = [p for p in parameters if p.is_average]
    assert len(averages) == 2 * 3
    assert spec.trained(parameters) == [p for p in parameters if not p.is_average]


def test_training_lowers_the_loss_of_evaluation() -> None:
    tasks = [
        task("photograph_temple", model=MODEL, optimizer=optimizer, seed=s)
        for s, optimizer in enumerate(("adamw", "sgd"))
    ]
    runner, lanes = trainer(2, "auto", updates=200), np.arange(2)
    first = runner.reset(lanes, list(tasks), [0, 1])
    last, _ = runner.advance(values(tasks, learning_rate=1e-2))
    assert (last.validation_loss < 0.85 * first.validation_loss).all()
    assert (last.validation_metric > 0.2).all()
