"""The batched trainer and torch.optim agree, for every optimiser, knob and architecture.

Rounding differs from the first update on and training amplifies it, so tolerances are those of 50
updates at ordinary rates (20 where all architectures are compared): 1e-4 for MLPs, and 1e-3 for
the attention net and the CNNs, whose sums are longer.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.networks.optimizers import OPTIMIZERS
from hpo_env.networks.registry import ARCHITECTURES
from hpo_env.tasks.supervised.family import SupervisedFamily
from hpo_env.telemetry import Telemetry
from tests.hpo_env.tasks.supervised.runs import (
    CLASSES,
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

KNOBS = {
    "learning_rate": None,  # three times the optimiser's rate
    "weight_decay": 0.1,
    "momentum": 0.5,
    "batch_size": 17.0,
    "dropout": 0.3,
    "label_smoothing": 0.2,
    "gradient_clip": 0.05,
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("knob", KNOBS)
def test_losses_of_fifty_updates_agree_and_every_knob_changes_them(
    optimizer: str, knob: str
) -> None:
    tasks = [task(CLASSES, optimizer=optimizer), task(NUMBERS, optimizer=optimizer)]
    known = KNOBS[knob]
    value = 3.0 * RATES[optimizer] if known is None else known
    tables = [values(tasks, **{knob: value})] * 50
    batched = train_losses(run(tasks, tables, updates=1)[1])
    reference = train_losses(run(tasks, tables, updates=1, engine="reference")[1])
    np.testing.assert_allclose(batched, reference, atol=1e-4)

    difference = np.abs(batched - losses_at_defaults(optimizer)).max(axis=0)
    has_knob = (knob, optimizer) != ("momentum", "adagrad")
    assert (difference[0] > 1e-4) == has_knob
    # There are no labels to smooth in the second.
    assert (difference[1] > 1e-4) == (has_knob and knob != "label_smoothing")


@cache
def losses_at_defaults(optimizer: str) -> NDArray[np.float64]:
    tasks = [task(CLASSES, optimizer=optimizer), task(NUMBERS, optimizer=optimizer)]
    return train_losses(run(tasks, [values(tasks)] * 50, updates=1)[1])


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_everything_that_is_measured_agrees_for_every_architecture(model: str) -> None:
    tasks = [task(name, model=model, seed=s) for s, name in enumerate(datasets_of(model))]
    table = values(tasks, dropout=0.2, label_smoothing=0.1, gradient_clip=0.5, batch_size=40.0)
    first, batched, tests = run(tasks, [table] * 4)
    first_reference, reference, tests_reference = run(tasks, [table] * 4, engine="reference")
    tolerance = tolerance_of(model)
    assert_close(first, first_reference, tolerance)
    for ours, theirs in zip(batched, reference, strict=True):
        assert_close(ours, theirs, tolerance)
    np.testing.assert_allclose(tests, tests_reference, atol=10 * tolerance, rtol=10 * tolerance)


def assert_close(ours: Telemetry, theirs: Telemetry, tolerance: float) -> None:
    for field in fields(Telemetry):
        np.testing.assert_allclose(
            getattr(ours, field.name),
            getattr(theirs, field.name),
            atol=tolerance,
            rtol=10 * tolerance,
            err_msg=field.name,
        )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_hyperparameters_that_move_during_the_run_agree(optimizer: str) -> None:
    tasks = [task(CLASSES, optimizer=optimizer), task(NUMBERS, optimizer=optimizer)]
    shares = np.linspace(0.1, 1.0, 12)
    tables = [
        values(
            tasks,
            learning_rate=RATES[optimizer] * share,
            momentum=0.95 * share,
            batch_size=64.0 * share,
            dropout=0.3 * share,
            weight_decay=0.01 * share,
        )
        for share in shares
    ]
    batched = train_losses(run(tasks, tables)[1])
    reference = train_losses(run(tasks, tables, engine="reference")[1])
    np.testing.assert_allclose(batched, reference, atol=1e-4)


@pytest.mark.parametrize("batch_size", [65, 128, 200, 256])
def test_minibatches_above_the_default_agree(batch_size: int) -> None:
    tasks = [task(CLASSES), task(NUMBERS), task(NUMBERS)]
    table = values(tasks, dropout=0.2)
    table[1:, 3] = batch_size
    batched = train_losses(run(tasks, [table] * 4)[1])
    reference = train_losses(run(tasks, [table] * 4, engine="reference")[1])
    np.testing.assert_allclose(batched, reference, atol=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_momentum_that_is_raised_from_zero_agrees(optimizer: str) -> None:
    tasks = [task(CLASSES, optimizer=optimizer)]
    tables = [values(tasks, momentum=m) for m in (0.0, 0.0, 0.8, 0.0, 0.9)]
    batched = train_losses(run(tasks, tables, updates=4)[1])
    reference = train_losses(run(tasks, tables, updates=4, engine="reference")[1])
    np.testing.assert_allclose(batched, reference, atol=1e-4)


def test_a_snapshot_continues_bit_for_bit_in_another_lane() -> None:
    tasks = [task(CLASSES), task(NUMBERS)]
    runner = trainer(2, "reference")
    runner.reset(np.arange(2), list(tasks), [1, 2])
    runner.advance(values(tasks))
    saved = runner.snapshot(np.array([0]))
    expected = runner.advance(values(tasks))[0].take(np.array([0]))
    runner.restore(np.array([1]), saved)
    again = runner.advance(values([tasks[0], tasks[0]]))[0].take(np.array([1]))
    assert again.train_loss == expected.train_loss
    assert again.validation_loss == expected.validation_loss


def test_values_are_read_back_as_used() -> None:
    runner = trainer(1, "reference")
    runner.reset(np.array([0]), [task()], [0])
    _, used = runner.advance(values([task()], batch_size=20.4))
    assert used[0, 3] == 20.0


def test_what_it_cannot_do_is_refused() -> None:
    family = SupervisedFamily()
    with pytest.raises(ConfigurationError, match="'cpu' only"):
        family.make_trainer(1, engine="reference", device="cuda")
    with pytest.raises(ConfigurationError, match="num_lanes"):
        family.make_trainer(0, engine="reference")
    with pytest.raises(ConfigurationError, match="lane 0 has no run yet"):
        family.make_trainer(1, engine="reference").test(np.array([0]))
