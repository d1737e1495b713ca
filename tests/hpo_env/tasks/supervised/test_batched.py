"""A lane of the batched trainer is a function of its task, seed and values alone."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch

from hpo_env.errors import ConfigurationError
from hpo_env.networks.registry import ARCHITECTURES, ModelSpec, architecture
from hpo_env.tasks.supervised.batched import BatchedTrainer
from hpo_env.tasks.supervised.cohort import Cohort
from hpo_env.tasks.supervised.data import MAX_TRAIN_ROWS, SupervisedTask
from hpo_env.tasks.supervised.family import SupervisedFamily
from hpo_env.tasks.supervised.slots import Room
from hpo_env.tasks.supervised.step import Kernels
from hpo_env.telemetry import Telemetry
from tests.hpo_env.tasks.supervised.runs import (
    CLASSES,
    IMAGES,
    NUMBERS,
    datasets_of,
    run,
    task,
    trainer,
    values,
)

OPTIMIZERS = ("sgd", "adamw", "rmsprop")


def mixed_tasks() -> list[SupervisedTask]:
    """Lanes of several models, data sets and optimisers."""
    models = ("mlp_32x2_relu", "mlp_48x3_gelu_norm", "mlp_32x2_relu", "attention_8x32")
    return [
        task((CLASSES, NUMBERS, IMAGES)[i % 3], model=models[i % 4], optimizer=OPTIMIZERS[i % 3])
        for i in range(9)
    ]


def assert_equal(one: Telemetry, other: Telemetry) -> None:
    for field in fields(Telemetry):
        np.testing.assert_array_equal(
            getattr(one, field.name), getattr(other, field.name), err_msg=field.name
        )


# The eager steps of large kinds take seconds each; that of one network is that of all.
ONES = [
    *(name for name, model in ARCHITECTURES.items() if model.modality == "tables"),
    "gpt_16x1",
    "gru_32",
    "resnet_12x12",
]


@pytest.mark.parametrize("model", ONES)
def test_neighbours_and_their_number_change_nothing_at_all(model: str) -> None:
    datasets = datasets_of(model)
    tasks = [
        task(datasets[i % len(datasets)], model=model, optimizer=OPTIMIZERS[i % 3], seed=i)
        for i in range(7)
    ]
    table = values(tasks)
    table[:, 3] = [8, 64, 200, 256, 65, 128, 64]  # batch sizes
    if architecture(model).modality != "tables":
        table[:, 3] = [8, 16, 50, 65, 17, 33, 16]
    table[:, 4] = np.linspace(0.0, 0.4, 7)  # dropout: lane 0 has none
    _, together, _ = run(tasks, [table] * 2)
    for chosen in ([0], [5], [6, 1], [3, 0, 2]):
        _, alone, _ = run(
            [tasks[i] for i in chosen], [table[chosen]] * 2, seeds=[int(i) for i in chosen]
        )
        for ours, theirs in zip(alone, together, strict=True):
            assert_equal(ours, theirs.take(np.array(chosen)))


def test_a_neighbours_large_minibatch_survives_a_snapshot_and_a_roll_back() -> None:
    tasks = [task(seed=s) for s in range(3)]
    table = values(tasks)
    table[1, 3] = 256.0
    lanes = np.arange(3)
    runner = trainer(3)
    runner.reset(lanes, list(tasks), lanes.tolist())
    start = np.array(runner.test(lanes))
    runner.advance(table)
    saved = runner.snapshot(lanes)
    expected = runner.advance(table)[0]
    runner.restore(lanes, saved)
    assert_equal(runner.advance(table)[0], expected)
    runner.reset(lanes, list(tasks), lanes.tolist())
    runner.advance(table)
    runner.roll_back(lanes)
    np.testing.assert_array_equal(np.array(runner.test(lanes)), start)


def test_lanes_that_change_model_from_run_to_run_disturb_nobody() -> None:
    tasks = mixed_tasks()
    runner = trainer(len(tasks))
    lanes = np.arange(len(tasks))
    runner.reset(lanes, list(tasks), lanes.tolist())
    runner.advance(values(tasks))
    # lanes 1, 4 and 0 take each other's tasks; lane 0's was alone in the middle of its cohort
    order = [4, 0, 2, 3, 1, 5, 6, 7, 8]
    swapped = np.array([1, 4, 0])
    now = [tasks[i] for i in order]
    runner.reset(swapped, [now[lane] for lane in swapped], [int(order[lane]) for lane in swapped])
    measured, _ = runner.advance(values(now))

    _, expected, _ = run(tasks, [values(tasks)] * 2)
    for lane in lanes:
        interval = expected[0] if lane in swapped else expected[1]
        assert_equal(measured.take(np.array([lane])), interval.take(np.array([order[lane]])))


def test_calls_cover_all_lanes_with_at_least_two_where_one_would_be_a_constant() -> None:
    spec = ModelSpec("mlp_32x2_relu", num_inputs=32, num_outputs=16)
    cohort = Cohort(Room(spec, MAX_TRAIN_ROWS), mode="eager", device=torch.device("cpu"), batch=64)
    never_called: Any = run
    compiled = Kernels(
        train=never_called, evaluate=never_called, compare=never_called, least_lanes=2
    )
    for lanes_per_call in (2, 3, 64):
        cohort._lanes_per_call = lanes_per_call
        for num_lanes in range(1, 20):
            cohort.slots.num_lanes = num_lanes
            spans = cohort._spans(compiled)
            covered = [slot for span in spans for slot in range(span.start, span.stop)]
            assert covered == list(range(max(num_lanes, 2)))
            assert min(span.stop - span.start for span in spans) >= 2


def test_a_snapshot_continues_bit_for_bit_in_other_lanes() -> None:
    tasks = mixed_tasks()
    lanes = np.arange(len(tasks))
    runner = trainer(len(tasks))
    runner.reset(lanes, list(tasks), lanes.tolist())
    table = values(tasks, dropout=0.1)
    runner.advance(table)
    saved = runner.snapshot(lanes)
    expected = runner.advance(table)[0]
    tests = np.array(runner.test(lanes))

    other = trainer(len(tasks))
    reverse = lanes[::-1].copy()
    other.restore(reverse, saved)
    again = other.advance(table[reverse])[0]
    assert_equal(again.take(reverse), expected)
    np.testing.assert_array_equal(np.array(other.test(reverse)), tests)


def test_a_snapshot_is_not_touched_by_training_on() -> None:
    tasks = [task(), task(NUMBERS)]
    runner = trainer(2)
    runner.reset(np.arange(2), list(tasks), [1, 2])
    saved = runner.snapshot(np.arange(2))
    first = runner.advance(values(tasks))[0]
    runner.restore(np.arange(2), saved)
    assert_equal(runner.advance(values(tasks))[0], first)


def test_a_diverging_lane_is_told_apart_and_harms_no_other() -> None:
    tasks = [task(seed=s, optimizer="sgd") for s in range(3)]
    table = values(tasks)
    _, calm, _ = run(tasks, [table] * 3)
    wild = table.copy()
    wild[1, 0] = 1e6
    _, measured, _ = run(tasks, [wild] * 3)
    assert measured[-1].diverged.tolist() == [False, True, False]
    others = np.array([0, 2])
    assert_equal(measured[-1].take(others), calm[-1].take(others))


def test_telemetry_is_what_the_single_updates_were() -> None:
    tasks = [task(), task(NUMBERS)]
    table = values(tasks)
    _, (interval,), _ = run(tasks, [table], updates=4)
    _, single, _ = run(tasks, [table] * 4, updates=1)
    losses = np.array([t.train_loss for t in single])
    np.testing.assert_allclose(interval.train_loss, losses.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(interval.train_loss_first_half, losses[:2].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(interval.train_loss_second_half, losses[2:].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(interval.train_loss_spread, losses.std(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(interval.gradient_norm_first, single[0].gradient_norm_first)
    np.testing.assert_array_equal(interval.gradient_norm_last, single[3].gradient_norm_first)
    np.testing.assert_array_equal(interval.validation_loss, single[3].validation_loss)


def test_an_interval_of_one_update_has_no_halves() -> None:
    _, (interval,), _ = run([task()], [values([task()])], updates=1)
    assert np.isnan(interval.update_agreement).all()
    assert np.isnan(interval.train_loss_first_half).all()
    assert np.isfinite(interval.update_ratio).all()


def test_training_lowers_the_validation_loss_of_every_kind_of_task() -> None:
    tasks = [task(CLASSES), task(NUMBERS), task(IMAGES), task(IMAGES, model="cnn_8x8")]
    first, measured, (loss, metric) = run(tasks, [values(tasks, learning_rate=3e-3)] * 20)
    assert (measured[-1].validation_loss < 0.8 * first.validation_loss).all()
    assert (measured[-1].validation_metric > first.validation_metric).all()
    assert (loss > 0.0).all()
    assert (metric > np.array([0.9, 0.2, 0.8, 0.6])).all()


def test_values_are_read_back_as_used() -> None:
    runner = trainer(2)
    runner.reset(np.arange(2), [task(), task()], [0, 1])
    wanted = values([task(), task()])
    wanted[:, 3] = (20.4, 64.0)
    _, used = runner.advance(wanted)
    assert used[:, 3].tolist() == [20.0, 64.0]
    np.testing.assert_array_equal(np.delete(used, 3, axis=1), np.delete(wanted, 3, axis=1))


def test_lanes_without_a_run_measure_nothing() -> None:
    runner = trainer(3)
    runner.reset(np.array([1]), [task()], [0])
    measured, _ = runner.advance(values([task()] * 3))
    assert np.isfinite(measured.validation_loss).tolist() == [False, True, False]
    with pytest.raises(ConfigurationError, match="lane 0 has no run yet"):
        runner.test(np.array([0]))


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="num_lanes"):
        BatchedTrainer(0)
    with pytest.raises(ConfigurationError, match="device 'abacus' cannot be used"):
        BatchedTrainer(1, device="abacus")
    with pytest.raises(ConfigurationError, match="ReferenceTrainer"):
        BatchedTrainer(1, engine="reference")


def test_without_a_compiler_auto_is_eager_and_compiled_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.warns(UserWarning, match="without the native kernel"):
        SupervisedFamily().make_trainer(64, engine="auto")
    with pytest.raises(ConfigurationError, match=r"needs a C\+\+ compiler"):
        SupervisedFamily().make_trainer(64, engine="compiled")


@pytest.mark.parametrize(
    ("target", "broken", "said"),
    [
        (
            "hpo_env.tasks.supervised.step.sysconfig.get_paths",
            lambda: {"include": "/nowhere"},
            r"needs the headers of Python \(on Debian: apt install python3-dev\)",
        ),
        ("torch.__file__", "/my folder/torch/__init__.py", "whose path has no spaces"),
    ],
)
def test_what_torch_needs_besides_a_compiler_is_named(
    target: str, broken: object, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo_env.tasks.supervised.step.shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(
        "hpo_env.tasks.supervised.step.Path.is_file", lambda path: "nowhere" not in str(path)
    )
    monkeypatch.setattr(target, broken)
    with pytest.raises(ConfigurationError, match=said):
        SupervisedFamily().make_trainer(64, engine="compiled")
