"""An update rule in the place of the tasks' own optimisers, in the trainer itself."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor

from hpo_env.errors import ConfigurationError
from hpo_env.networks.updaters import State, Updater, beside, per_lane
from hpo_env.tasks.base import Engine, Trainer
from hpo_env.tasks.supervised.data import SupervisedTask
from hpo_env.tasks.supervised.family import SupervisedFamily
from hpo_env.telemetry import Telemetry
from tests.hpo_env.tasks.supervised.runs import CLASSES, IMAGES, NAMES, NUMBERS, task, values

ENGINES: tuple[Engine, ...] = ("eager", "native")
RATE = 0.02
LANES = np.arange(5)


class Averaged(Updater):
    """SGD at a rate that halves with every update, and the mean of its iterates."""

    def start(self, weights: Tensor) -> dict[str, Tensor]:
        return {"total": weights.clone(), "num": per_lane(weights, 1.0)}

    def update(self, weights: Tensor, gradients: Tensor, state: State) -> None:
        state["num"] += 1.0
        weights -= gradients * beside(self.learning_rate(state), weights)
        state["total"] += weights

    def evaluated(self, weights: Tensor, state: State) -> Tensor:
        return state["total"] / beside(state["num"], weights)

    def learning_rate(self, state: State) -> Tensor:
        return RATE * 0.5 ** state["num"]


class SGD(Averaged):
    """At a rate that stays."""

    def evaluated(self, weights: Tensor, state: State) -> Tensor:
        return weights

    def learning_rate(self, state: State) -> Tensor:
        return torch.full_like(state["num"], RATE)


def tasks() -> list[SupervisedTask]:
    models = ("mlp_32x2_relu", "mlp_48x3_gelu_norm", "mlp_32x2_relu")
    return [
        task((CLASSES, NUMBERS, IMAGES)[i % 3], model=models[i % 3], optimizer="sgd", seed=i)
        for i in LANES.tolist()
    ]


def trainer(engine: Engine, updater: Updater | None) -> Trainer:
    family = SupervisedFamily(updates_per_decision=4)
    if updater is None:
        return family.make_trainer(len(LANES), engine=engine)
    return family.make_updated_trainer(updater, len(LANES), engine=engine)


def started(engine: Engine, updater: Updater | None) -> tuple[Trainer, Telemetry]:
    runner = trainer(engine, updater)
    return runner, runner.reset(LANES, list(tasks()), LANES.tolist())


def assert_close(one: Telemetry, other: Telemetry, tolerance: float) -> None:
    for field in fields(Telemetry):
        np.testing.assert_allclose(
            getattr(one, field.name),
            getattr(other, field.name),
            rtol=tolerance,
            atol=tolerance,
            err_msg=field.name,
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_everything_is_measured_as_under_the_optimiser_that_it_equals(engine: Engine) -> None:
    table = values(tasks(), learning_rate=RATE, momentum=0.0, weight_decay=0.0, dropout=0.2)
    table[:, NAMES.index("batch_size")] = [8, 64, 200, 100, 64]
    ours, first = started(engine, SGD())
    theirs, first_of_theirs = started(engine, None)
    assert_close(first, first_of_theirs, 0.0)
    for _ in range(4):
        assert_close(ours.advance(table)[0], theirs.advance(table)[0], 1e-4)
    np.testing.assert_allclose(ours.test(LANES), theirs.test(LANES), rtol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_read_back_is_the_rule_s_rate_and_nothing_of_the_optimiser(engine: Engine) -> None:
    runner, _ = started(engine, Averaged())
    table = values(tasks(), dropout=0.1)
    for interval in (1, 2):
        _, used = runner.advance(table)
        columns = dict(zip(NAMES, used.T, strict=True))
        np.testing.assert_array_equal(columns["learning_rate"], RATE * 0.5 ** (4 * interval + 1))
        assert np.isnan(columns["weight_decay"]).all()
        assert np.isnan(columns["momentum"]).all()
        assert columns["dropout"].tolist() == [0.1] * len(LANES)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_optimiser_s_own_hyperparameters_change_nothing(engine: Engine) -> None:
    one, other = started(engine, Averaged())[0], started(engine, Averaged())[0]
    wild = values(tasks(), learning_rate=1.0, momentum=0.9, weight_decay=0.1)
    for _ in range(2):
        assert_close(one.advance(values(tasks()))[0], other.advance(wild)[0], 0.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_weights_that_are_evaluated_are_the_rule_s_choice(engine: Engine) -> None:
    class Frozen(SGD):
        """Trains as SGD does, and returns where it started."""

        def start(self, weights: Tensor) -> dict[str, Tensor]:
            return {**super().start(weights), "start": weights.clone()}

        def evaluated(self, weights: Tensor, state: State) -> Tensor:
            return state["start"]

    frozen, first = started(engine, Frozen())
    moving, _ = started(engine, SGD())
    tests = np.array(frozen.test(LANES))
    for _ in range(2):
        ours, theirs = frozen.advance(values(tasks()))[0], moving.advance(values(tasks()))[0]
        np.testing.assert_array_equal(ours.validation_loss, first.validation_loss)
        np.testing.assert_array_equal(ours.train_loss, theirs.train_loss)
    np.testing.assert_array_equal(np.array(frozen.test(LANES)), tests)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_snapshot_continues_bit_for_bit_in_other_lanes(engine: Engine) -> None:
    runner, _ = started(engine, Averaged())
    table = values(tasks())
    runner.advance(table)
    saved = runner.snapshot(LANES)
    expected, used = runner.advance(table)
    other, turned = trainer(engine, Averaged()), LANES[::-1].copy()
    other.restore(turned, saved)
    again, used_again = other.advance(table[turned])
    assert_close(again.take(turned), expected, 0.0)
    np.testing.assert_array_equal(used_again[turned], used)
    np.testing.assert_array_equal(other.test(turned), runner.test(LANES))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_roll_back_puts_weights_back_and_begins_the_rule_anew(engine: Engine) -> None:
    runner, _ = started(engine, Averaged())
    start = np.array(runner.test(LANES))
    table = values(tasks())
    _, used_first = runner.advance(table)
    runner.roll_back(LANES)
    np.testing.assert_array_equal(np.array(runner.test(LANES)), start)
    np.testing.assert_array_equal(runner.advance(table)[1], used_first)


def test_an_engine_with_torch_s_optimisers_alone_refuses_it() -> None:
    with pytest.raises(ConfigurationError, match="engine 'reference' has the optimisers of torch"):
        trainer("reference", SGD())
