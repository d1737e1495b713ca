"""The batched trainer on a GPU does what it does on the processor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hpo_env.tasks.base import Engine, Trainer
from hpo_env.tasks.supervised.family import SupervisedFamily
from hpo_env.vector_env import HPOControlVectorEnv
from tests.hpo_env.tasks.supervised.runs import (
    CLASSES,
    IMAGES,
    NUMBERS,
    datasets_of,
    run,
    task,
    tolerance_of,
    train_losses,
    values,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

OPTIMIZERS = ("sgd", "adamw", "rmsprop")
MODELS = ("mlp_32x2_relu", "mlp_48x3_gelu_norm", "attention_8x32", "cnn_8x8")
ENGINES: tuple[Engine, ...] = ("eager", "compiled")


def cuda_trainer(num_lanes: int, engine: Engine) -> Trainer:
    family = SupervisedFamily(updates_per_decision=5)
    return family.make_trainer(num_lanes, engine=engine, device="cuda")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", MODELS)
def test_losses_are_those_of_the_processor(model: str, engine: Engine) -> None:
    datasets = datasets_of(model)
    tasks = [
        task(datasets[i % len(datasets)], model=model, optimizer=OPTIMIZERS[i % 3], seed=i)
        for i in range(8)
    ]
    table = values(tasks, gradient_clip=1.0)
    table[:, 3] = [8, 64, 200, 256, 65, 128, 64, 16]  # batch sizes
    table[:, 4] = np.linspace(0.0, 0.4, 8)  # dropout
    expected_first, expected, expected_test = run(tasks, [table] * 4)
    lanes = np.arange(8)
    runner = cuda_trainer(8, engine)
    first = runner.reset(lanes, list(tasks), lanes.tolist())
    measured = [runner.advance(table)[0] for _ in range(4)]
    tolerance = tolerance_of(model)
    np.testing.assert_allclose(first.validation_loss, expected_first.validation_loss, rtol=1e-5)
    np.testing.assert_allclose(train_losses(measured), train_losses(expected), rtol=tolerance)
    for ours, theirs in zip(measured, expected, strict=True):
        np.testing.assert_allclose(ours.validation_loss, theirs.validation_loss, rtol=tolerance)
        np.testing.assert_allclose(ours.update_ratio, theirs.update_ratio, rtol=1e-2)
    np.testing.assert_allclose(runner.test(lanes)[0], expected_test[0], rtol=tolerance)


def test_snapshots_and_roll_backs_bring_back_what_was_there() -> None:
    tasks = [task((CLASSES, NUMBERS, IMAGES)[i % 3], seed=i) for i in range(6)]
    table = values(tasks)
    lanes = np.arange(6)
    runner = cuda_trainer(6, "eager")
    runner.reset(lanes, list(tasks), lanes.tolist())
    start = np.array(runner.test(lanes))
    saved = runner.snapshot(lanes)
    expected = runner.advance(table)[0]
    runner.roll_back(lanes)
    np.testing.assert_allclose(np.array(runner.test(lanes)), start, rtol=1e-6)
    runner.restore(lanes, saved)
    again = runner.advance(table)[0]
    np.testing.assert_allclose(again.validation_loss, expected.validation_loss, rtol=1e-5)


def test_episodes_are_those_of_the_processor() -> None:
    rng = np.random.default_rng(0)
    rewards = []
    moves = rng.uniform(-0.3, 0.3, (6, 24, 2))
    for device in ("cpu", "cuda"):
        env = HPOControlVectorEnv(
            24,
            hyperparameters=("learning_rate", "weight_decay"),
            initial={"learning_rate": 1e-3},
            num_decisions=5,  # a new task each, so that lanes change cohorts
            action_mode="continuous",
            engine="eager",
            device=device,
        )
        env.reset(seed=0)
        rewards.append([env.step(move)[1] for move in moves])
        env.close()
    np.testing.assert_allclose(rewards[1], rewards[0], atol=2e-3)
