"""Small supervised tasks, and runs of them that tests compare."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.networks.mlp import MLP
from hpo_env.networks.registry import architecture
from hpo_env.tasks.base import Engine, Trainer
from hpo_env.tasks.supervised.data import SupervisedTask
from hpo_env.tasks.supervised.family import SupervisedFamily
from hpo_env.telemetry import Telemetry

NAMES = tuple(h.name for h in SupervisedFamily.hyperparameters)
RATES = {"sgd": 3e-2, "adamw": 1e-3, "rmsprop": 1e-4, "adagrad": 1e-3}

CLASSES, NUMBERS, IMAGES = "breast_cancer", "diabetes", "digits"
TEXTS = ("python_asyncio", "python_docs")


def datasets_of(model: str) -> tuple[str, ...]:
    """Data sets of every kind that a model takes."""
    chosen = architecture(model)
    if chosen.window is not None:
        return TEXTS
    if chosen.images is None:
        return (CLASSES, NUMBERS, IMAGES)
    return (IMAGES if chosen.fits((1, 8, 8)) else image_file(chosen.images),)


def tolerance_of(model: str) -> float:
    """How far losses may differ from the reference trainer's over 20 updates."""
    return 1e-4 if isinstance(architecture(model), MLP) else 1e-3


@cache
def image_file(shape: tuple[int, int, int]) -> str:
    """The path of a file of images that show one of 10 patterns in noise."""
    rng = np.random.default_rng(0)
    y = np.arange(500) % 10
    x = rng.normal(size=(10, *shape))[y] + 4.0 * rng.normal(size=(500, *shape))
    path = Path(tempfile.mkdtemp()) / "images.npz"
    np.savez(path, x=x, y=y)
    return str(path)


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
        target="y" if dataset.endswith(".npz") else None,
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
