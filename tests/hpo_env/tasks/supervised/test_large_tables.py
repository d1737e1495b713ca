"""Large tables: what is drawn, how many rows train, and lanes beside those of usual tables."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from hpo_env.datasets import dataset_names, large_names, load_dataset
from hpo_env.errors import ConfigurationError
from hpo_env.tasks.base import Engine
from hpo_env.tasks.supervised.data import (
    LARGE_TRAIN_ROWS,
    MAX_TRAIN_ROWS,
    SupervisedTask,
    prepare,
)
from hpo_env.tasks.supervised.family import SupervisedFamily
from hpo_env.tasks.supervised.native.kernel import build_failure
from hpo_env.telemetry import Telemetry
from tests.hpo_env.tasks.supervised.runs import run, task, tolerance_of, trainer, values

LARGE = "computers"
needs_compiler = pytest.mark.skipif(build_failure() is not None, reason="no kernel")


def draws(number: int, **options: Any) -> list[SupervisedTask]:
    family, rng = SupervisedFamily(**options), np.random.default_rng(0)
    return [family.sample(rng) for _ in range(number)]


def is_large(drawn: SupervisedTask) -> bool:
    return drawn.most_rows == LARGE_TRAIN_ROWS


def test_a_share_of_the_tables_is_large_with_numbers_to_predict_and_all_rows() -> None:
    drawn = draws(400, share_of_large=0.3)
    large = [t for t in drawn if is_large(t)]
    assert 0.24 < len(large) / len(drawn) < 0.36
    assert len({t.dataset for t in large}) > 12
    for t in large:
        held = load_dataset(t.dataset)
        assert held.kind == "regression"
        assert t.num_rows == len(held.x) >= 2500
    others = [t for t in drawn if not is_large(t)]
    assert {t.most_rows for t in others} == {MAX_TRAIN_ROWS}  # said of all, once any may be large
    assert {t.dataset for t in others} <= set(dataset_names(split="train"))
    assert {t.most_rows for t in draws(20)} == {None}


def test_each_side_has_large_tables_of_its_own() -> None:
    sides = [set(large_names(split=split)) for split in ("train", "validation", "test")]
    assert min(map(len, sides)) >= 2
    assert len(set.union(*sides)) == sum(map(len, sides))
    assert {t.dataset for t in draws(60, split="test", share_of_large=1.0)} <= sides[2]


def test_under_a_clock_by_modality_large_tables_have_one_as_texts_have() -> None:
    drawn = draws(200, clock="by_modality", share_of_large=0.5, most_effort=3e9)
    of_large = {t.updates_per_decision for t in drawn if is_large(t)}
    assert len(of_large) > 40
    assert {t.updates_per_decision for t in drawn if not is_large(t)} == {10}


def test_more_rows_train_and_as_many_as_ever_validate() -> None:
    usual = task(LARGE)
    large = replace(usual, most_rows=LARGE_TRAIN_ROWS)
    few, many = prepare(usual), prepare(large)
    assert (len(few.train), len(many.train)) == (MAX_TRAIN_ROWS, int(0.6 * 6259))
    assert len(few.validation) == len(many.validation) == 512
    assert len(prepare(replace(usual, dataset="deliveries", num_rows=8000)).train) == 1024
    most = prepare(replace(large, dataset="deliveries", num_rows=8000))
    assert len(most.train) == LARGE_TRAIN_ROWS


@pytest.mark.parametrize(
    "engine", ["eager", pytest.param("native", marks=needs_compiler), "compiled"]
)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_losses_over_two_epochs_are_those_of_the_reference(optimizer: str, engine: Engine) -> None:
    if engine == "compiled":
        pytest.importorskip("torch._inductor")
    tasks = [
        task(LARGE, optimizer=optimizer, most_rows=LARGE_TRAIN_ROWS),
        task(LARGE, optimizer=optimizer),
    ]
    table = values(tasks, batch_size=256.0)
    _, ours, our_test = run(tasks, [table] * 3, engine=engine, updates=10)
    _, theirs, their_test = run(tasks, [table] * 3, engine="reference", updates=10)
    tolerance = tolerance_of("mlp_32x2_relu")
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.train_loss, other.train_loss, rtol=tolerance)
        np.testing.assert_allclose(mine.validation_loss, other.validation_loss, rtol=tolerance)
    np.testing.assert_allclose(our_test, their_test, rtol=tolerance)
    assert ours[-1].train_loss[0] != ours[-1].train_loss[1]


def test_a_lane_that_changes_between_large_and_usual_disturbs_nobody() -> None:
    large = task(LARGE, most_rows=LARGE_TRAIN_ROWS)
    tasks = [large, task(LARGE, seed=1), task(LARGE, seed=2)]
    lanes, table = np.arange(3), values(tasks)
    _, expected, _ = run(tasks, [table] * 2)
    runner = trainer(3)
    runner.reset(lanes, [tasks[1], tasks[0], tasks[2]], [1, 0, 2])
    runner.advance(table)
    runner.reset(lanes[:2], [tasks[0], tasks[1]], [0, 1])
    saved = runner.snapshot(lanes[:1])
    assert_equal(runner.advance(table)[0].take(lanes[:2]), expected[0].take(lanes[:2]))
    runner.restore(lanes[2:], saved)
    runner.restore(lanes[:1], saved)
    again, _ = runner.advance(table[[0, 1, 0]])
    for lane in (0, 2):
        assert_equal(again.take(lanes[[lane]]), expected[0].take(lanes[:1]))


def assert_equal(one: Telemetry, other: Telemetry) -> None:
    for field in fields(Telemetry):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.mark.parametrize(
    "options",
    [
        {"share_of_large": 0.5, "modalities": "tokens"},
        {"share_of_large": 0.5, "dataset": LARGE},
        {"share_of_large": 0.5, "model": "gpt_16x1"},
        {"share_of_large": 1.5},
    ],
)
def test_a_share_of_large_tables_where_none_are_drawn_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="share_of_large"):
        SupervisedFamily(**options)


@pytest.mark.parametrize(("name", "linear"), [("portrait_pixels", 0.07), ("terrain_heights", 0.01)])
def test_missing_pixels_are_told_in_part_by_a_straight_line(name: str, linear: float) -> None:
    held = load_dataset(name)
    assert held.x.shape == (8000, 24)
    x = np.column_stack([np.ones(len(held.x)), held.x.astype(float)])
    weights = np.linalg.lstsq(x, held.y, rcond=None)[0]
    assert np.mean((x @ weights - held.y) ** 2) / held.y.var() == pytest.approx(linear, abs=0.01)
    assert name not in dataset_names()
