"""How many environment steps a second a GPU makes, beside one processor thread.

An environment step is 10 updates and a validation pass. Each row is an environment of its own: the
median wall time of some steps in the middle of an episode, in which no lane begins anew.

    python benchmarks/gpu.py --json logs/gpu.json
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from hpo_env.errors import ConfigurationError
from hpo_env.tasks.base import Engine
from hpo_env.vector_env import HPOControlVectorEnv

_ONE_MODEL: dict[str, Any] = {"dataset": "digits", "model": "mlp_64x2", "optimizer": "adamw"}
_WAYS: tuple[tuple[str, Engine], ...] = (("cpu", "native"), ("cuda", "eager"), ("cuda", "compiled"))


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure environments on a GPU.

    Args:
        one_model_lanes: Numbers of lanes that all train an MLP 64-64 on digits.
        mixed_lanes: Numbers of lanes that train what the family draws: all its models.
        steps: Steps that are timed.
        json: Where to write the numbers as well.
    """

    one_model_lanes: tuple[int, ...] = (64, 1024, 4096)
    mixed_lanes: tuple[int, ...] = (384, 2048)
    steps: int = 6
    json: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One environment.

    Args:
        tasks: "one model" or "mixed".
        lanes: How many.
        device: Where it ran.
        engine: How.
        env_steps_per_second: Lanes over the median wall time of a step.
        first_step_seconds: Reset and first two steps: data sets, memory, compilation where another
            row has not compiled the same.
        peak_gigabytes: Largest memory of the GPU in use.
    """

    tasks: str
    lanes: int
    device: str
    engine: Engine
    env_steps_per_second: float
    first_step_seconds: float
    peak_gigabytes: float


def measure(tasks: str, lanes: int, device: str, engine: Engine, steps: int) -> Row:
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    env = HPOControlVectorEnv(
        lanes,
        hyperparameters=("learning_rate", "weight_decay"),
        num_decisions=steps + 3,
        updates_per_decision=10,
        engine=engine,
        device=device,
        **(_ONE_MODEL if tasks == "one model" else {}),
    )
    env.reset(seed=0)
    still = np.zeros((lanes, 2), dtype=np.float32)
    for _ in range(2):
        env.step(still)
    started, seconds = time.perf_counter(), []
    for _ in range(steps):
        before = time.perf_counter()
        env.step(still)
        seconds.append(time.perf_counter() - before)
    env.close()
    return Row(
        tasks=tasks,
        lanes=lanes,
        device=device,
        engine=engine,
        env_steps_per_second=lanes / median(seconds),
        first_step_seconds=started - start,
        peak_gigabytes=torch.cuda.max_memory_allocated() / 2**30,
    )


def main(options: Options) -> None:
    if not torch.cuda.is_available():
        raise ConfigurationError("this benchmark needs a GPU that torch can use; there is none")
    sizes = [("one model", n) for n in options.one_model_lanes]
    sizes += [("mixed", n) for n in options.mixed_lanes]
    rows = [
        measure(tasks, lanes, device, engine, options.steps)
        for device, engine in _WAYS
        for tasks, lanes in sizes
    ]
    table = Table(title=f"Environment steps a second, {torch.cuda.get_device_name()}")
    for column in ("tasks", "lanes", "device", "engine"):
        table.add_column(column)
    for column in ("env steps/s", "first step s", "GPU memory GiB"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(row.tasks, str(row.lanes), row.device, row.engine),
            f"{row.env_steps_per_second:,.0f}",
            f"{row.first_step_seconds:.1f}",
            f"{row.peak_gigabytes:.2f}",
        )
    Console().print(table)
    if options.json is not None:
        data = {"gpu": torch.cuda.get_device_name(), "rows": [asdict(row) for row in rows]}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(data, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Options))
