"""Failed intervals are rolled back, in the environment as in the controller."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import hpo_env  # noqa: F401
from hpo_env.guard import FAILURE_LOG_RATIO, has_failed, retreated, rolled_back
from hpo_env.tasks.base import Engine
from hpo_env.telemetry import Telemetry
from hpo_env.vector_env import HPOControlVectorEnv

ENGINES: tuple[Engine, ...] = ("eager", "reference", "auto")


def guarded(
    rate: float,
    *,
    engine: Engine = "auto",
    num_envs: int = 2,
    optimizer: str = "sgd",
    **options: Any,
) -> HPOControlVectorEnv:
    return HPOControlVectorEnv(
        num_envs,
        dataset="diabetes",
        model="mlp_32x2_relu",
        optimizer=optimizer,
        num_decisions=6,
        initial={"learning_rate": rate},
        engine=engine,
        autoreset_mode="Disabled",
        **options,
    )


def test_a_training_loss_that_stands_in_has_to_be_far_above_its_first() -> None:
    telemetry = Telemetry.missing(2)
    telemetry.train_loss[:] = np.exp(FAILURE_LOG_RATIO) + 0.1, 60.0
    assert has_failed(telemetry, np.ones(2)).tolist() == [False, True]


def test_without_any_loss_nothing_has_failed() -> None:
    assert not has_failed(Telemetry.missing(1), np.ones(1)).any()


def test_what_was_rolled_back_measured_nothing_but_the_loss_that_holds_again() -> None:
    numbers = {f.name: np.array([1.0, 2.0]) for f in fields(Telemetry) if f.name != "diverged"}
    telemetry = Telemetry(**numbers, diverged=np.array([True, False]))
    before = Telemetry.missing(2)
    before.validation_loss[:], before.validation_metric[:] = 0.5, 0.1
    left = rolled_back(telemetry, np.array([True, False]), before)
    assert left.validation_loss.tolist() == [0.5, 2.0]
    assert left.validation_metric.tolist() == [0.1, 2.0]
    assert np.isnan(left.train_loss[0])
    assert left.train_loss[1] == 2.0
    assert not left.diverged.any()


def test_a_policy_without_the_learning_rate_is_not_overruled() -> None:
    moves = np.ones((1, 2))
    assert (retreated(moves, np.array([True]), np.zeros((1, 2))) == moves).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_failed_interval_leaves_the_weights_as_they_were(engine: Engine) -> None:
    env = guarded(1.0, engine=engine)
    _, info = env.reset(seed=0)
    first = info["validation_loss"].copy()
    _, reward, terminated, _, info = env.step(np.ones((2, 2)))
    assert info["rolled_back"].all()
    assert not terminated.any()
    np.testing.assert_array_equal(info["validation_loss"], first)
    np.testing.assert_array_equal(reward, 0.0)
    loss, _ = env.trainer.test(np.arange(2))
    assert np.isfinite(loss).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_guard_cuts_the_rate_until_training_works(engine: Engine) -> None:
    env = guarded(1.0, engine=engine)
    env.reset(seed=0)
    rates, failures = [], []
    for _ in range(6):
        _, _, terminated, _, info = env.step(np.zeros((2, 2)))
        rates.append(info["hyperparameters"]["learning_rate"][0])
        failures.append(bool(info["rolled_back"][0]))
    assert failures[0]
    assert not failures[-1]
    expected = np.cumsum([0, *failures[:-1]])
    np.testing.assert_allclose(rates, 4.0**-expected)
    assert terminated.all()
    assert not info["diverged"].any()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])  # the memory of one counts its updates
def test_engines_agree_after_a_roll_back(optimizer: str) -> None:
    losses = {}
    for engine in ENGINES:
        env = guarded(1.0, engine=engine, num_envs=1, optimizer=optimizer)
        env.reset(seed=0)
        failures = 0
        for _ in range(6):
            info = env.step(np.zeros((1, 2)))[-1]
            failures += int(info["rolled_back"][0])
        assert 1 <= failures < 6
        losses[engine] = info["validation_loss"][0]
    assert losses["eager"] == pytest.approx(losses["reference"], rel=1e-3)
    assert losses["auto"] == pytest.approx(losses["reference"], rel=1e-3)


def test_a_snapshot_remembers_that_the_guard_is_due() -> None:
    env = guarded(1.0, num_envs=1)
    env.reset(seed=0)
    env.step(np.zeros((1, 2)))
    held = env.snapshot()
    rates = []
    for _ in range(2):
        env.restore(held)
        rates.append(env.step(np.ones((1, 2)))[-1]["hyperparameters"]["learning_rate"][0])
    assert rates == [0.25, 0.25]


def test_an_environment_without_guard_ends_the_run() -> None:
    env = guarded(1.0, num_envs=1, on_divergence="end")
    env.reset(seed=0)
    terminated = np.array([False])
    info: dict[str, Any] = {}
    while not terminated.any():
        _, _, terminated, _, info = env.step(np.ones((1, 2)))
    assert info["diverged"].all()
