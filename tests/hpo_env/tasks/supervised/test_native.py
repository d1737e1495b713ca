"""The fused kernels do what the eager and the reference trainer do, and are built safely.

Sums are taken in another order, so that now and then a rectifier's input rounds to the other side
of 0, which moves later losses by 1e-4: runs that are compared over 50 updates start from seeds
where none does.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.networks.attention import Attention
from hpo_env.networks.base import ACTIVATIONS, Architecture
from hpo_env.networks.cnn import CNN
from hpo_env.networks.language import GPT
from hpo_env.networks.mlp import MLP
from hpo_env.networks.objectives import objective
from hpo_env.networks.optimizers import OPTIMIZERS
from hpo_env.networks.recurrent import GRU
from hpo_env.networks.registry import ARCHITECTURES, ModelSpec, architecture
from hpo_env.networks.residual_cnn import ResidualCNN
from hpo_env.tasks.base import Engine
from hpo_env.tasks.building import cache_folder
from hpo_env.tasks.supervised.data import SupervisedTask, prepare
from hpo_env.tasks.supervised.family import SupervisedFamily
from hpo_env.tasks.supervised.native.kernel import build_failure, has_kernel, set_num_threads
from hpo_env.telemetry import Telemetry
from tests.hpo_env.tasks.supervised.runs import (
    CLASSES,
    IMAGES,
    NUMBERS,
    RATES,
    datasets_of,
    run,
    task,
    tolerance_of,
    train_losses,
    trainer,
    values,
)

_FAILURE = build_failure()
needs_compiler = pytest.mark.skipif(_FAILURE is not None, reason=f"no kernel: {_FAILURE}")

MODELS = tuple(ARCHITECTURES)
OTHER_KINDS = ("attention_8x32", "cnn_8x8", "cnn_28x28", "gpt_16x1", "gru_32", "resnet_12x12")
ONE_OF_EACH_KIND = ("mlp_32x2_relu", *(name for name in OTHER_KINDS if name != "cnn_28x28"))
OTHERS: tuple[Engine, ...] = ("eager", "reference")
DATASETS = (CLASSES, NUMBERS, IMAGES)
KNOBS: dict[str, dict[str, float]] = {
    "nothing": {},
    "learning_rate": {},  # three times the optimiser's rate
    "weight_decay": {"weight_decay": 0.1},
    "momentum": {"momentum": 0.5},
    "batch_size": {"batch_size": 17.0},
    "dropout": {"dropout": 0.3},
    "label_smoothing": {"label_smoothing": 0.2},
    "gradient_clip": {"gradient_clip": 0.05},
}


def mixed_tasks(model: str, num_lanes: int = 9) -> list[SupervisedTask]:
    """Lanes of one model on all kinds of data that it takes, under all optimisers."""
    datasets = datasets_of(model)
    return [
        task(
            datasets[i % len(datasets)], model=model, optimizer=list(OPTIMIZERS)[i // 3 % 3], seed=i
        )
        for i in range(num_lanes)
    ]


def assert_close(
    ours: Telemetry, theirs: Telemetry, tolerance: float, tied: NDArray[np.float64] | None = None
) -> None:
    """Compare all fields; accuracies may differ by the shares `tied [N]` and by no more."""
    for field in fields(Telemetry):
        mine, other = getattr(ours, field.name), getattr(theirs, field.name)
        if tied is not None and field.name == "validation_metric":
            mine = np.where(np.abs(mine - other) <= tied, other, mine)
        np.testing.assert_allclose(
            mine,
            other,
            atol=tolerance,
            rtol=10 * tolerance,
            err_msg=field.name,
        )


def assert_equal(ours: Telemetry, theirs: Telemetry) -> None:
    for field in fields(Telemetry):
        np.testing.assert_array_equal(
            getattr(ours, field.name), getattr(theirs, field.name), err_msg=field.name
        )


# --- Agreement ------------------------------------------------------------------------------------


# Adagrad's first step is the sign of the gradient down to gradients of 1e-10, which are rounding.
TOLERANCE = {"sgd": 1e-4, "adamw": 1e-4, "rmsprop": 1e-4, "adagrad": 2e-3}


@needs_compiler
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("knob", KNOBS)
def test_losses_of_fifty_updates_agree_with_eager_and_reference(optimizer: str, knob: str) -> None:
    changes = KNOBS[knob]
    if knob == "learning_rate":
        changes = {knob: 3.0 * RATES[optimizer]}
    native = fifty_losses("native", optimizer, **changes)
    for engine in OTHERS:
        other = fifty_losses(engine, optimizer, **changes)
        np.testing.assert_allclose(native, other, atol=TOLERANCE[optimizer], err_msg=engine)
    if knob != "nothing" and (knob, optimizer) != ("momentum", "adagrad"):
        at_defaults = fifty_losses("native", optimizer)
        assert np.abs(native - at_defaults).max(axis=0)[0] > 1e-4


@cache
def fifty_losses(engine: Engine, optimizer: str, **changes: float) -> NDArray[np.float64]:
    """Losses of 50 updates `[50, N]`."""
    tasks = [task(name, optimizer=optimizer, seed=3) for name in DATASETS]
    tables = [values(tasks, **changes)] * 50
    return train_losses(run(tasks, tables, updates=1, engine=engine, seeds=[9, 10, 11])[1])


@needs_compiler
@pytest.mark.parametrize("model", OTHER_KINDS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("knob", KNOBS)
def test_losses_of_twenty_updates_agree_with_the_reference_for_other_kinds(
    model: str, optimizer: str, knob: str
) -> None:
    changes = KNOBS[knob]
    if knob == "learning_rate":
        changes = {knob: 3.0 * RATES[optimizer]}
    tasks = [task(name, model=model, optimizer=optimizer, seed=3) for name in datasets_of(model)]
    tables = [values(tasks, **changes)] * 20
    native, reference = (
        train_losses(run(tasks, tables, updates=1, engine=engine)[1])
        for engine in ("native", "reference")
    )
    np.testing.assert_allclose(
        native, reference, atol=max(tolerance_of(model), TOLERANCE[optimizer])
    )


@needs_compiler
@pytest.mark.parametrize("model", MODELS)
def test_everything_that_is_measured_agrees_for_every_architecture(model: str) -> None:
    tasks = [task(name, model=model, seed=s) for s, name in enumerate(datasets_of(model))]
    table = values(tasks, dropout=0.2, label_smoothing=0.1, gradient_clip=0.5, batch_size=40.0)
    first, native, tests = run(tasks, [table] * 4, engine="native")
    for engine in OTHERS:
        first_other, others, tests_other = run(tasks, [table] * 4, engine=engine)
        assert_close(first, first_other, 1e-5)
        for ours, theirs in zip(native, others, strict=True):
            assert_close(ours, theirs, tolerance_of(model))
        np.testing.assert_allclose(tests, tests_other, atol=10 * tolerance_of(model))


@needs_compiler
@pytest.mark.parametrize("model", MODELS)
def test_one_update_agrees_to_rounding_for_every_architecture(model: str) -> None:
    tasks = mixed_tasks(model)
    table = values(tasks, dropout=0.1, label_smoothing=0.1)
    _, (native,), _ = run(tasks, [table], updates=1, engine="native")
    _, (eager,), _ = run(tasks, [table], updates=1)
    assert_close(native, eager, 1e-6)


@needs_compiler
@pytest.mark.parametrize("batch_size", [8, 15, 16, 31, 33, 48, 63, 64, 65, 100, 129, 256])
@pytest.mark.parametrize("model", ["mlp_48x3_gelu_norm", "attention_8x32", "cnn_8x8"])
def test_every_batch_size_agrees(model: str, batch_size: int) -> None:
    tasks = mixed_tasks(model, 3)
    table = values(tasks, batch_size=batch_size, dropout=0.1)
    _, native, _ = run(tasks, [table] * 4, engine="native")
    _, eager, _ = run(tasks, [table] * 4)
    np.testing.assert_allclose(train_losses(native), train_losses(eager), atol=1e-4)


@needs_compiler
@settings(max_examples=12, deadline=None)
@given(
    width=st.integers(1, 70),
    depth=st.integers(1, 4),
    activation=st.sampled_from(list(ACTIVATIONS)),
    is_normalized=st.booleans(),
    is_residual=st.booleans(),
)
def test_any_width_and_depth_agrees(
    width: int, depth: int, activation: str, is_normalized: bool, is_residual: bool
) -> None:
    name = f"{width}x{depth}_{activation}_{is_normalized}_{is_residual}"
    model = MLP(
        split="test",
        width=width,
        depth=depth,
        activation=activation,
        is_normalized=is_normalized,
        is_residual=is_residual,
    )
    assert_agrees_with_eager(name, model)


@needs_compiler
@settings(max_examples=8, deadline=None)
@given(
    num_tokens=st.sampled_from([1, 2, 4, 8, 16]),
    num_heads=st.integers(1, 3),
    head_width=st.integers(1, 12),
)
@example(num_tokens=2, num_heads=1, head_width=2)  # nearly every tenth row is a tie
def test_any_size_of_attention_agrees(num_tokens: int, num_heads: int, head_width: int) -> None:
    width = num_heads * head_width
    model = Attention(split="test", num_tokens=num_tokens, width=width, num_heads=num_heads)
    assert_agrees_with_eager(f"attention_{num_tokens}x{width}_{num_heads}", model)


@needs_compiler
@settings(max_examples=8, deadline=None)
@given(
    half_sides=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    stride=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_any_size_of_convolutions_agrees(
    half_sides: tuple[int, int], stride: int, channels: tuple[int, int]
) -> None:
    height, width = (2 * half * stride for half in half_sides)
    model = CNN(split="test", image_shape=(1, height, width), stride=stride, channels=channels)
    assert_agrees_with_eager(f"cnn_{height}x{width}_{stride}_{channels}", model)


@needs_compiler
@settings(max_examples=4, deadline=None)
@given(
    context=st.integers(1, 19),
    num_blocks=st.integers(1, 2),
    num_heads=st.integers(1, 3),
    head_width=st.integers(1, 9),
    batch_size=st.integers(1, 70),
)
def test_any_size_of_gpt_agrees(
    context: int, num_blocks: int, num_heads: int, head_width: int, batch_size: int
) -> None:
    model = GPT(
        split="test",
        context=context,
        width=num_heads * head_width,
        num_blocks=num_blocks,
        num_heads=num_heads,
    )
    name = f"gpt_{context}x{model.width}x{num_blocks}_{num_heads}"
    assert_agrees_with_eager(name, model, batch_size=float(batch_size))


@needs_compiler
@settings(max_examples=4, deadline=None)
@given(context=st.integers(1, 19), width=st.integers(1, 33), batch_size=st.integers(1, 70))
def test_any_size_of_gru_agrees(context: int, width: int, batch_size: int) -> None:
    model = GRU(split="test", context=context, width=width)
    assert_agrees_with_eager(f"gru_{context}x{width}", model, batch_size=float(batch_size))


@needs_compiler
@settings(max_examples=4, deadline=None)
@given(
    sides=st.tuples(st.integers(2, 7), st.integers(2, 7)),
    stride=st.integers(1, 2),
    channels=st.integers(1, 17),
    num_blocks=st.integers(1, 2),
    batch_size=st.integers(2, 70),
)
def test_any_size_of_residual_convolutions_agrees(
    sides: tuple[int, int], stride: int, channels: int, num_blocks: int, batch_size: int
) -> None:
    model = ResidualCNN(
        split="test",
        image_shape=(1, *sides),
        stride=stride,
        channels=channels,
        num_blocks=num_blocks,
    )
    name = f"resnet_{sides}_{stride}_{channels}_{num_blocks}"
    assert_agrees_with_eager(name, model, batch_size=float(batch_size))


def tied_share(task: SupervisedTask, seed: int) -> float:
    """Return the share of validation rows whose best two classes differ by rounding alone.

    Before the first update a norm over two features leaves many: whoever rounds decides.
    """
    problem = prepare(task)
    if problem.objective == objective("regression"):
        return 0.0
    shape = (problem.num_features, problem.num_outputs)
    model = architecture(task.architecture)
    module = model.reference(*shape).load(model.initial_weights(*shape, seed)).double()
    module.normalizes_by_minibatch(False)
    x = torch.from_numpy(problem.validation.measured().x).double()
    with torch.no_grad():
        best = module(x, lambda h, site: h).topk(2).values
    return float((best[..., 0] - best[..., 1] < 1e-6).double().mean())


def assert_agrees_with_eager(name: str, model: Architecture, **changes: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, name, model)
        tasks = mixed_tasks(name)
        table = values(tasks, dropout=0.1, learning_rate=1e-4, **changes)
        first, native, tests = run(tasks, [table] * 2, updates=2, engine="native")
        first_eager, eager, tests_eager = run(tasks, [table] * 2, updates=2)
        tied = np.array([tied_share(task, seed) for seed, task in enumerate(tasks)])
    assert_close(first, first_eager, 1e-5, tied)
    np.testing.assert_allclose(train_losses(native), train_losses(eager), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(tests[0], tests_eager[0], atol=1e-4, rtol=1e-4)


@needs_compiler
def test_evaluation_is_the_eager_one() -> None:
    for model in ("mlp_64x2_tanh", "mlp_48x3_gelu_norm", "mlp_64x3_silu", "attention_8x32"):
        tasks = mixed_tasks(model)
        first, _, tests = run(tasks, [], engine="native")
        first_eager, _, tests_eager = run(tasks, [])
        is_class = np.arange(9) % 3 != 1
        for ours, theirs in (
            (first.train_loss, first_eager.train_loss),
            (first.validation_loss, first_eager.validation_loss),
            (tests[0], tests_eager[0]),
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
        # shares of right labels: the same numbers, which eager evaluation holds as float32
        np.testing.assert_array_equal(
            tests[1][is_class].astype(np.float32), tests_eager[1][is_class].astype(np.float32)
        )


@needs_compiler
def test_hyperparameters_that_move_during_the_run_agree() -> None:
    tasks = mixed_tasks("mlp_32x2_relu")
    tables = [
        values(tasks, momentum=0.95 * share, batch_size=64.0 * share, dropout=0.3 * share)
        for share in np.linspace(0.1, 1.0, 10)
    ]
    native = train_losses(run(tasks, tables, engine="native")[1])
    np.testing.assert_allclose(native, train_losses(run(tasks, tables)[1]), atol=1e-4)


# --- Lanes ----------------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("model", MODELS)
def test_neighbours_and_their_number_change_nothing_at_all(model: str) -> None:
    tasks = mixed_tasks(model)
    table = values(tasks)
    table[:, 3] = np.linspace(8, 256, 9)  # batch sizes
    table[:, 4] = np.linspace(0.0, 0.4, 9)  # dropout: lane 0 has none
    _, together, tests = run(tasks, [table] * 2, engine="native")
    for chosen in ([0], [5], [8, 1], [3, 0, 2]):
        _, alone, tests_alone = run(
            [tasks[i] for i in chosen], [table[chosen]] * 2, seeds=chosen, engine="native"
        )
        for ours, theirs in zip(alone, together, strict=True):
            assert_equal(ours, theirs.take(np.array(chosen)))
        np.testing.assert_array_equal(tests_alone, tests[:, chosen])


@needs_compiler
def test_a_snapshot_continues_bit_for_bit_in_other_lanes_and_in_an_eager_trainer() -> None:
    tasks = [*mixed_tasks("mlp_32x2_relu", 3), *mixed_tasks("mlp_64x2", 3)]
    tasks.append(task(IMAGES, model="cnn_8x8"))
    lanes = np.arange(len(tasks))
    runner = trainer(len(tasks), "auto")
    runner.reset(lanes, list(tasks), lanes.tolist())
    table = values(tasks, dropout=0.1)
    runner.advance(table)
    saved = runner.snapshot(lanes)
    expected = runner.advance(table)[0]

    reverse = lanes[::-1].copy()
    other = trainer(len(tasks), "auto")
    other.restore(reverse, saved)
    assert_equal(other.advance(table[reverse])[0].take(reverse), expected)
    eager = trainer(len(tasks), "eager")
    eager.restore(lanes, saved)
    assert_close(eager.advance(table)[0], expected, 1e-5)


@needs_compiler
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", ["mlp_64x2_tanh", "mlp_48x3_gelu_norm", *ONE_OF_EACH_KIND])
def test_a_diverging_lane_is_told_apart_and_harms_no_other(optimizer: str, model: str) -> None:
    known = datasets_of(model)
    dataset = NUMBERS if NUMBERS in known else known[0]
    tasks = [task(dataset, model=model, optimizer=optimizer, seed=s) for s in range(3)]
    table = values(tasks)
    _, calm, _ = run(tasks, [table] * 6, engine="native")
    wild = table.copy()
    wild[1, 0] = 1e30
    _, measured, _ = run(tasks, [wild] * 6, engine="native")
    assert measured[-1].diverged.tolist() == [False, True, False]
    others = np.array([0, 2])
    for ours, theirs in zip(measured, calm, strict=True):
        assert_equal(ours.take(others), theirs.take(others))


@needs_compiler
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("model", MODELS)
def test_weights_that_are_not_finite_are_reported(model: str, poison: float) -> None:
    for dataset in datasets_of(model):
        runner = trainer(2, "native")
        tasks = [task(dataset, model=model)] * 2
        runner.reset(np.arange(2), list(tasks), [0, 1])
        saved = runner.snapshot(np.array([1]))
        for tensor in saved[0].tensors[:2]:
            tensor.fill_(poison)
        runner.restore(np.array([1]), saved)
        telemetry, _ = runner.advance(values(tasks))
        assert telemetry.diverged.tolist() == [False, True]
        assert np.isfinite(telemetry.train_loss).tolist() == [True, False]


# --- Building and choosing ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class OwnModel(MLP):
    """A model that has no kernel, as its class might compute anything."""


@needs_compiler
def test_every_shipped_model_has_a_kernel() -> None:
    assert all(has_kernel(ModelSpec(name, num_inputs=64, num_outputs=16)) for name in MODELS)


@needs_compiler
def test_models_without_a_kernel_train_beside_those_with_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ARCHITECTURES, "own", OwnModel(split="test", width=20, depth=2))
    tasks = [task(IMAGES), task(IMAGES, model="own"), task(IMAGES, model="cnn_8x8")]
    _, (mixed,), _ = run(tasks, [values(tasks)], engine="auto")
    _, (eager,), _ = run(tasks, [values(tasks)], engine="eager")
    assert_equal(mixed.take(np.array([1])), eager.take(np.array([1])))
    assert_close(mixed.take(np.array([0, 2])), eager.take(np.array([0, 2])), 1e-5)


@pytest.mark.parametrize("compiler", ["/bin/false", "no-such-compiler"])
def test_without_a_compiler_auto_warns_in_one_line_and_native_is_refused(
    compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", compiler)
    with pytest.warns(UserWarning, match=r"^training runs without the native kernel: .+$") as seen:
        automatic = SupervisedFamily().make_trainer(1, engine="auto", device="cpu")
    assert len(seen) == 1
    assert "\n" not in str(seen[0].message)
    first = automatic.reset(np.array([0]), [task()], [0])
    assert np.isfinite(first.train_loss).all()
    with pytest.raises(ConfigurationError, match=r"engine 'native' needs a C\+\+ compiler: .*"):
        SupervisedFamily().make_trainer(1, engine="native", device="cpu")


def test_native_is_refused_on_another_device() -> None:
    with pytest.raises(
        ConfigurationError, match="engine 'native' runs on device 'cpu'; got 'meta'"
    ):
        SupervisedFamily().make_trainer(1, engine="native", device="meta")


def test_a_compiler_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'note: hello' >&2\necho 'error: no room' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert build_failure() == f"{compiler} failed: error: no room"


@needs_compiler
def test_concurrent_builds_share_one_library(tmp_path: Path) -> None:
    code = "from hpo_env.tasks.supervised.native.build import library; print(library())"
    environment = os.environ | {"HPO_CONTROL_CACHE": str(tmp_path / "cache")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    printed = {process.communicate(timeout=300)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert [str(path) for path in (tmp_path / "cache").iterdir()] == list(printed)


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CONTROL_CACHE", "/one")
    assert cache_folder() == Path("/one")
    monkeypatch.delenv("HPO_CONTROL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/two")
    assert cache_folder() == Path("/two/hpo-control")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "hpo-control"


# --- Threads --------------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("model", ONE_OF_EACH_KIND)
def test_the_number_of_threads_changes_nothing(model: str) -> None:
    tasks = mixed_tasks(model)
    try:
        set_num_threads(3)
        threaded = run(tasks, [values(tasks)] * 3, engine="native")
    finally:
        set_num_threads(1)
    alone = run(tasks, [values(tasks)] * 3, engine="native")
    for ours, theirs in zip(threaded[1], alone[1], strict=True):
        assert_equal(ours, theirs)


def test_no_threads_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 1; got 0"):
        set_num_threads(0)
