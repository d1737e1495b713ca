"""Small supervised tasks, and runs of them that tests compare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.base import Engine, Trainer
from hpo_env.tasks.supervised import SupervisedFamily
from hpo_env.tasks.supervised_data import SupervisedTask
from hpo_env.telemetry import Telemetry

NAMES = tuple(h.name for h in SupervisedFamily.hyperparameters)
RATES = {"sgd": 3e-2, "adamw": 1e-3, "rmsprop": 1e-4, "adagrad": 1e-3}

CLASSES, NUMBERS, IMAGES = "breast_cancer", "diabetes", "digits"


def task(
    dataset: str = CLASSES,
    *,
    model: str = "mlp_32x2_relu",
    optimizer: str = "adamw",
    seed: int = 0,
    **changes: Any,
) -> SupervisedTask:
    """A task that is drawn from the family, with its defaults but for `changes` of its fields."""
    family = SupervisedFamily(
        split="test",
        dataset=dataset,
        model=model,
        optimizer=optimizer,
        initial={"learning_rate": RATES[optimizer]},
    )
    return replace(family.sample(np.random.default_rng(seed)), **changes)


def values(tasks: list[SupervisedTask], **changes: float) -> NDArray[np.float64]:
    """The tasks' initial hyperparameters `[N, H]`, with columns replaced by `changes`."""
    table = np.array([t.initial for t in tasks])
    for name, value in changes.items():
        table[:, NAMES.index(name)] = value
    return table


def trainer(num_lanes: int, engine: Engine = "eager", *, updates: int = 5) -> Trainer:
    """A trainer of supervised tasks."""
    return SupervisedFamily(updates_per_decision=updates).make_trainer(num_lanes, engine=engine)


def run(
    tasks: list[SupervisedTask],
    tables: list[NDArray[np.float64]],
    *,
    engine: Engine = "eager",
    updates: int = 5,
    seeds: list[int] | None = None,
) -> tuple[Telemetry, list[Telemetry], NDArray[np.float64]]:
    """Run tasks under a table of hyperparameters for each interval.

    Returns:
        Telemetry at reset and of every interval, and test loss and metric `[2, N]`.
    """
    lanes = np.arange(len(tasks))
    runner = trainer(len(tasks), engine, updates=updates)
    seeds = lanes.tolist() if seeds is None else seeds
    first = runner.reset(lanes, list(tasks), seeds)
    measured = [runner.advance(table)[0] for table in tables]
    return first, measured, np.array(runner.test(lanes))


def train_losses(measured: list[Telemetry]) -> NDArray[np.float64]:
    """Training losses `[T, N]`."""
    return np.array([t.train_loss for t in measured])
