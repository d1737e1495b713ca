"""How fast the inner training runs, beside the loop that everybody writes.

All do the same work on one thread: `lanes` models, `updates` AdamW updates each on minibatches of
64 with gradient clipping, then one pass over the validation rows. One environment step is one
model's share of that.

    python benchmarks/throughput.py --json logs/throughput.json
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
import tyro
from rich.console import Console
from rich.table import Table

from hpo_env.datasets import load_dataset
from hpo_env.errors import MissingExtraError
from hpo_env.models import ARCHITECTURES, initial_weights
from hpo_env.tasks.base import Engine
from hpo_env.tasks.supervised import SupervisedFamily
from hpo_env.tasks.supervised_data import SupervisedTask, prepare
from hpo_env.tasks.supervised_space import DEFAULT_BATCH_SIZE
from hpo_env.trainers.reference_models import reference_module
from hpo_env.vector_env import HPOControlVectorEnv

_TABLE = "pitch_result"  # 3,402 rows of 28 features
_IMAGES = {"cnn_8x8": "digits", "cnn_28x28": "fashion_mnist"}  # 1,797 and 4,000
_NUM_SEQUENTIAL = 8  # the loop takes the same time for every model


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure throughput.

    Args:
        lanes: Lanes of the main measurement.
        updates: Updates in one environment step.
        model: Architecture of the main measurement.
        engine: Engine that is measured.
        others: Whether to measure the other architectures too.
        other_lanes: Lanes of those.
        repeats: Measurements of each kind, taken in turn; their median is reported.
        json: Where to write the numbers as well.
    """

    lanes: int = 100
    updates: int = 10
    model: str = "mlp_64x2"
    engine: Engine = "native"
    others: bool = True
    other_lanes: int = 32
    repeats: int = 7
    json: Path | None = None


def environment_steps(options: Options, model: str, lanes: int) -> Callable[[], int]:
    """Return a function that takes one vector step of the environment and counts lane steps."""
    env = HPOControlVectorEnv(
        num_envs=lanes,
        engine=options.engine,
        num_decisions=10**6,
        **_family_options(options, model),
    )
    env.reset(seed=0)
    still = np.zeros(env.action_space.shape or (), dtype=np.float32)

    def step() -> int:
        env.step(still)
        return lanes

    return step


def trainer_steps(options: Options, model: str, lanes: int) -> Callable[[], int]:
    """Return a function that advances the bare trainer by one interval and counts lane steps."""
    family = SupervisedFamily(**_family_options(options, model))
    trainer = family.make_trainer(lanes, engine=options.engine)
    rng = np.random.default_rng(0)
    tasks = [family.sample(rng) for _ in range(lanes)]
    trainer.reset(np.arange(lanes), list(tasks), list(range(lanes)))
    values = np.array([task.initial for task in tasks])

    def step() -> int:
        trainer.advance(values)
        return lanes

    return step


def sequential_steps(options: Options, model: str, *, fused: bool = False) -> Callable[[], int]:
    """Return a function that trains models one after another and counts model steps."""
    family = SupervisedFamily(**_family_options(options, model))
    rng = np.random.default_rng(0)
    loops = [
        _SequentialLoop(family.sample(rng), seed, fused=fused) for seed in range(_NUM_SEQUENTIAL)
    ]

    def step() -> int:
        for loop in loops:
            loop.run(options.updates)
        return len(loops)

    return step


class _SequentialLoop:
    """The plain loop: a module, `torch.optim.AdamW`, random minibatches, then validation."""

    def __init__(self, task: SupervisedTask, seed: int, *, fused: bool) -> None:
        problem = prepare(task)
        sizes = (problem.num_features, problem.num_outputs)
        weights = initial_weights(task.architecture, *sizes, seed)
        self.module = reference_module(task.architecture, *sizes, weights)
        self.x, self.y = torch.tensor(problem.train.x), torch.tensor(problem.train.y).long()
        self.x_validation = torch.tensor(problem.validation.x)
        self.y_validation = torch.tensor(problem.validation.y).long()
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=1e-3, weight_decay=1e-4, fused=fused
        )

    def run(self, updates: int) -> float:
        order = torch.randperm(len(self.x)).repeat(1 + updates * DEFAULT_BATCH_SIZE // len(self.x))
        for rows in torch.split(order, DEFAULT_BATCH_SIZE)[:updates]:
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.module(self.x[rows], _keep), self.y[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), 100.0)
            self.optimizer.step()
        with torch.no_grad():
            return F.cross_entropy(self.module(self.x_validation, _keep), self.y_validation).item()


def _keep(h: torch.Tensor, site: int) -> torch.Tensor:
    return h


def _family_options(options: Options, model: str) -> dict[str, Any]:
    return {
        "split": "validation",
        "dataset": _IMAGES.get(model, _TABLE),
        "model": model,
        "optimizer": "adamw",
        "updates_per_decision": options.updates,
        "initial": {"learning_rate": 1e-3},
    }


def _has_data(model: str) -> bool:
    try:
        load_dataset(_IMAGES.get(model, _TABLE))
    except MissingExtraError as error:
        print(f"{model} is left out: {error}")
        return False
    return True


def measure(ways: dict[str, Callable[[], int]], repeats: int) -> dict[str, float]:
    """Time every way in turn, so that a busy moment hits all of them.

    Seconds are those that the processor spent here: one thread does all the work, and the time of
    other programs on the machine is not counted against it.

    Returns:
        Steps a second by way, the median of all repeats.
    """
    for step in ways.values():
        step()  # compiles, and fills caches
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, step in ways.items():
            started, num_steps = time.process_time(), 0
            while (seconds := time.process_time() - started) < 0.3:
                num_steps += step()
            rates[name].append(num_steps / seconds)
    return {name: median(rate) for name, rate in rates.items()}


def main(options: Options) -> dict[str, Any]:
    """Measure, print and return everything."""
    torch.set_num_threads(1)
    console = Console()
    rows = []
    models = [options.model]
    if options.others:
        models += [name for name in ARCHITECTURES if name != options.model and _has_data(name)]
    for model in models:
        lanes = options.lanes if model == options.model else options.other_lanes
        with console.status(f"measuring {model}, {lanes} lanes"):
            rates = measure(
                {
                    "environment": environment_steps(options, model, lanes),
                    "trainer": trainer_steps(options, model, lanes),
                    "sequential": sequential_steps(options, model),
                    "sequential_fused": sequential_steps(options, model, fused=True),
                },
                options.repeats,
            )
        ratio = rates["environment"] / rates["sequential"]
        rows.append({"model": model, "lanes": lanes, **rates, "ratio": ratio})
    console.print(_table(rows, options))
    result = {"updates": options.updates, "machine": _machine(), "rows": rows}
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return result


def _table(rows: list[dict[str, Any]], options: Options) -> Table:
    table = Table(
        title=f"Environment steps a second, {options.updates} updates + validation each, one thread"
    )
    for heading in (
        "model",
        "lanes",
        "environment",
        "bare trainer",
        "torch.optim loop",
        "the same, fused",
        "environment / loop",
    ):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for row in rows:
        speeds = ("environment", "trainer", "sequential", "sequential_fused")
        table.add_row(
            row["model"],
            str(row["lanes"]),
            *(f"{row[name]:,.0f}" for name in speeds),
            f"{row['ratio']:.1f}x",
        )
    return table


def _machine() -> dict[str, str]:
    return {"torch": torch.__version__, "processor": platform.processor() or platform.machine()}


if __name__ == "__main__":
    main(tyro.cli(Options))
