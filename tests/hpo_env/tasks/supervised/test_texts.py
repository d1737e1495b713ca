"""Tasks of next tokens: what is drawn, what is trained on, and intervals of a lane's own length."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hpo_env.datasets import load_text
from hpo_env.errors import ConfigurationError
from hpo_env.networks.registry import ARCHITECTURES, architecture
from hpo_env.networks.updaters import Updater
from hpo_env.tasks.base import Engine
from hpo_env.tasks.supervised.data import MAX_TRAIN_TOKENS, SupervisedTask, prepare
from hpo_env.tasks.supervised.family import SupervisedFamily
from hpo_env.tasks.supervised.minibatches import drawn_windows, window_starts
from hpo_env.tasks.supervised.rows import Windows
from hpo_env.telemetry import Telemetry
from tests.hpo_env.tasks.supervised.runs import CLASSES, IMAGES, run, task, values

TEXT = "python_docs"


def draws(number: int = 200, **options: object) -> list[SupervisedTask]:
    family = SupervisedFamily(**options)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    return [family.sample(rng) for _ in range(number)]


def windows(task: SupervisedTask) -> list[Windows]:
    problem = prepare(task)
    parts = (problem.train, problem.validation, problem.test)
    return [part for part in parts if isinstance(part, Windows)]


# --- Drawing --------------------------------------------------------------------------------------


def test_texts_are_drawn_on_request_alone() -> None:
    assert not [t for t in draws() if architecture(t.architecture).window]
    texts = draws(modalities="tokens")
    assert {t.name for t in texts} >= {"python_docs", "python_email"}
    assert {architecture(t.architecture).split for t in texts} == {"train"}
    shares = [bool(architecture(t.architecture).window) for t in draws(modalities="all")]
    assert 0.3 < np.mean(shares) < 0.7


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_side_has_texts_and_models_of_its_own(split: str) -> None:
    seen = draws(40, split=split, modalities="tokens")
    names = {t.dataset for t in seen}
    others = {"train", "validation", "test"} - {split}
    assert names.isdisjoint(
        {t.dataset for o in others for t in draws(40, split=o, model="gpt_16x1")}
    )
    assert {architecture(t.architecture).split for t in seen} == {split}


def test_a_model_or_a_text_says_what_the_work_is() -> None:
    assert {t.architecture for t in draws(5, model="gpt_16x1")} == {"gpt_16x1"}
    assert {t.dataset for t in draws(5, dataset=TEXT)} == {TEXT}
    one = draws(1, dataset=TEXT, model="gpt_16x2")[0]
    assert (one.num_features, one.num_rows) == (25, MAX_TRAIN_TOKENS)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dataset": TEXT, "model": "mlp_64x2"}, "'mlp_64x2' needs rows of numbers, and text"),
        ({"dataset": CLASSES, "model": "gpt_16x1"}, "'gpt_16x1' needs texts, and data set"),
        ({"dataset": CLASSES, "modalities": "tokens"}, "does not fit data set 'breast_cancer'"),
        ({"model": "gpt_16x1", "modalities": "tables"}, "does not fit model 'gpt_16x1'"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        SupervisedFamily(**options)  # type: ignore[arg-type]


# --- Clocks ---------------------------------------------------------------------------------------


def test_a_wide_clock_draws_decisions_and_updates_within_what_a_run_may_cost() -> None:
    family = SupervisedFamily(modalities="all", clock="wide")
    rng = np.random.default_rng(0)
    drawn = [family.sample(rng) for _ in range(600)]
    updates = np.array([t.updates_per_decision for t in drawn], dtype=float)
    decisions = np.array([t.num_decisions for t in drawn])
    assert (decisions.min(), decisions.max()) >= (10, 100)
    assert decisions.max() <= 150
    assert updates.min() < 7
    assert 500 < updates.max() <= 1000
    assert 20 < np.exp(np.log(updates).mean()) < 90
    assert max(family.effort(t) for t in drawn) < 1.2e10
    fixed = draws(20, clock="wide", num_decisions=12)
    assert {t.num_decisions for t in fixed} == {12}


def test_under_a_mixed_clock_every_second_task_draws_its_own_and_all_say_it() -> None:
    drawn = draws(600, modalities="all", clock="mixed", updates_per_decision=3)  # no drawn one
    updates = [t.updates_per_decision for t in drawn]
    assert None not in updates
    assert 0.4 < np.mean([u == 3 for u in updates]) < 0.6
    assert {t.num_decisions for t in drawn if t.updates_per_decision == 3} <= set(range(15, 61))


def test_a_clock_by_modality_is_the_usual_one_of_tables() -> None:
    drawn = draws(300, modalities="all", clock="by_modality")
    updates: dict[str, set[int | None]] = {"tables": set(), "images": set(), "tokens": set()}
    for t in drawn:
        updates[architecture(t.architecture).modality].add(t.updates_per_decision)
    assert updates["tables"] == {10}
    assert min(len(updates["images"]), len(updates["tokens"])) > 20


def test_a_blended_clock_is_longer_for_a_quarter_of_the_tables_and_drawn_for_the_rest() -> None:
    drawn = draws(900, modalities="all", clock="blended", share_of_tables=0.75)
    of: dict[str, list[int]] = {"tables": [], "images": [], "tokens": []}
    for t in drawn:
        assert t.updates_per_decision is not None
        of[architecture(t.architecture).modality].append(t.updates_per_decision)
    assert 0.7 < len(of["tables"]) / len(drawn) < 0.8
    assert 0.7 < len(of["images"]) / len(of["tokens"]) < 1.4
    longer = [updates for updates in of["tables"] if updates != 10]
    assert 0.2 < len(longer) / len(of["tables"]) < 0.3
    assert (min(longer), max(longer)) >= (10, 80)
    assert max(longer) <= 100
    assert max(*of["images"], *of["tokens"]) > 200
    tables = [t for t in drawn if architecture(t.architecture).modality == "tables"]
    assert {t.num_decisions for t in tables} <= set(range(15, 61))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"share_of_tables": 1.5, "modalities": "all"}, "share_of_tables"),
        ({"share_of_tables": 0.5}, "share_of_tables is for modalities='all'"),
        ({"share_of_tables": 0.5, "modalities": "tokens"}, "is for modalities='all'"),
        ({"share_of_tables": 0.5, "modalities": "all", "model": "gpt_16x1"}, "model='gpt_16x1'"),
    ],
)
def test_a_share_of_tables_where_nothing_else_is_drawn_is_refused(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        SupervisedFamily(**options)


@pytest.mark.parametrize("most", [1e8, 1e9, 1e11])
def test_the_most_that_a_run_may_cost_bounds_its_intervals(most: float) -> None:
    family = SupervisedFamily(clock="wide", most_effort=most)
    rng = np.random.default_rng(0)
    tasks = [family.sample(rng) for _ in range(200)]
    dear = [t for t in tasks if family.effort(t) > 1.2 * most]
    assert {t.updates_per_decision for t in dear} <= {5}  # the shortest of all
    assert max(family.effort(t) for t in tasks) > 0.3 * min(most, 3e10)


@pytest.mark.parametrize("bad", [0, -1.0, "1e9", True, None, float("nan")])
def test_a_most_effort_that_is_no_positive_number_is_refused(bad: Any) -> None:
    with pytest.raises(ConfigurationError, match="most_effort must be a positive number"):
        SupervisedFamily(clock="wide", most_effort=bad)


def test_a_clock_of_its_own_is_told_in_plain_data() -> None:
    assert "updates_per_decision" not in task().to_json()
    assert task(updates_per_decision=7).to_json()["updates_per_decision"] == 7


class Halving(Updater):
    """Takes steps of half a gradient, and counts them."""

    def start(self, weights: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"count": torch.zeros(len(weights), dtype=torch.float64)}

    def update(self, weights, gradients, state) -> None:  # type: ignore[no-untyped-def]
        weights -= 0.5 * gradients
        state["count"] += 1.0

    def learning_rate(self, state) -> torch.Tensor:  # type: ignore[no-untyped-def]
        return state["count"]


@pytest.mark.parametrize("engine", ["eager", "native", "reference"])
def test_lanes_of_one_model_have_intervals_of_their_own(engine: Engine) -> None:
    lengths = (3, 5, 1, 3)  # 5 is the trainer's own
    tasks = [task(IMAGES, seed=s) for s in range(4)]
    timed = [
        t if length == 5 else replace(t, updates_per_decision=length)
        for t, length in zip(tasks, lengths, strict=True)
    ]
    table = values(tasks, dropout=0.1)
    _, together, tests = run(timed, [table] * 2, engine=engine)
    for lane, length in enumerate(lengths):
        _, alone, test = run(
            [tasks[lane]], [table[[lane]]] * 2, engine=engine, updates=length, seeds=[lane]
        )
        for ours, theirs in zip(together, alone, strict=True):
            assert_equal(ours.take(np.array([lane])), theirs)
        np.testing.assert_array_equal(tests[:, [lane]], test)


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_an_updater_stops_with_a_lane_s_interval(engine: Engine) -> None:
    tasks = [replace(task(seed=s), updates_per_decision=n) for s, n in enumerate((2, 4))]
    family = SupervisedFamily()
    trainer = family.make_updated_trainer(Halving(), 2, engine=engine)
    trainer.reset(np.arange(2), list(tasks), [0, 1])
    measured, used = trainer.advance(values(tasks))
    assert used[:, 0].tolist() == [2.0, 4.0]
    alone = family.make_updated_trainer(Halving(), 1, engine=engine)
    alone.reset(np.arange(1), [tasks[0]], [0])
    assert_equal(measured.take(np.array([0])), alone.advance(values(tasks[:1]))[0])


def assert_equal(one: Telemetry, other: Telemetry) -> None:
    for name in Telemetry.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


# --- What is trained on ---------------------------------------------------------------------------


def test_stretches_come_from_the_texts_own_parts_and_windows_begin_anywhere_in_them() -> None:
    text = load_text(TEXT)
    train, validation, test = windows(task(TEXT, model="gpt_16x1"))
    for stretch, part in ((train, text.train), (validation, text.validation), (test, text.test)):
        assert bytes(stretch.tokens) in bytes(part)
    assert len(train) == MAX_TRAIN_TOKENS - 16
    assert train.take(np.array([5])).x[0].tolist() == train.tokens[5 : 5 + 17].tolist()
    measured = validation.measured()
    assert measured.x.shape == (256, 17)
    np.testing.assert_array_equal(measured.x[:, 1:].ravel(), validation.tokens[1:4097])


def test_noise_replaces_its_share_of_tokens_in_every_part() -> None:
    clean = task(TEXT, model="gpt_16x1")
    for before, after in zip(windows(clean), windows(replace(clean, label_noise=0.5)), strict=True):
        assert np.mean(before.tokens != after.tokens) == pytest.approx(0.5 * 31 / 32, abs=0.02)
        assert after.tokens.max() < load_text(TEXT).num_tokens


def test_windows_are_drawn_evenly_and_torch_draws_those_of_numpy() -> None:
    seeds, consumed, starts = np.array([3, 9]), np.array([0, 70_000]), np.array([1000, 131_056])
    sizes = np.array([8, 16])
    drawn = drawn_windows(
        seeds, consumed, starts, sizes, num_updates=3, batch=16, device=torch.device("cpu")
    ).numpy()
    for lane in range(2):
        for update in range(3):
            places = consumed[lane] + update * sizes[lane] + np.arange(16)
            wanted = window_starts(seeds[lane], places, starts[lane])
            np.testing.assert_array_equal(drawn[update, lane], wanted)
    many = window_starts(np.array(1), np.arange(200_000), np.array(131_056))
    assert 0 <= many.min() < many.max() < 131_056
    assert np.histogram(many, bins=20, range=(0, 131_056))[0].std() < 150


@pytest.mark.parametrize("name", [n for n, m in ARCHITECTURES.items() if m.window])
def test_training_lowers_the_loss_below_that_of_frequencies(name: str) -> None:
    tasks = [task(TEXT, model=name, optimizer="adamw", seed=s) for s in range(2)]
    first, measured, (loss, score) = run(
        tasks, [values(tasks, learning_rate=1e-2)], engine="auto", updates=200
    )
    frequencies = np.bincount(load_text(TEXT).train) / len(load_text(TEXT).train)
    entropy = -(frequencies * np.log(frequencies)).sum()
    assert (first.validation_loss > entropy).all()
    assert (measured[-1].validation_loss < entropy - 0.3).all()
    assert (loss < entropy - 0.2).all()
    assert (score > 0.2).all()
