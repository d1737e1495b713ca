"""How long it takes from nothing to the first step, with empty caches and with full ones.

Each start is a process of its own, which takes the first step of lanes of five models:

    python -m benchmarks.speed.start_up native
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, cast

from rich.table import Table

from benchmarks.speed.goals import Goal
from benchmarks.speed.options import Options
from hpo_env.tasks.base import Engine

_MODELS = ("mlp_32x2_relu", "mlp_64x2_tanh", "mlp_48x3_gelu_norm", "mlp_128x2_relu", "resmlp_64x2")
_LANES_PER_MODEL = 8
_NUM_WARM = 3
_CACHES = ("cold", "warm")


def measure(options: Options) -> dict[str, Any]:
    """Start processes one after the other, by the clock."""
    rows = []
    for engine in options.start_up_engines:
        with tempfile.TemporaryDirectory() as folder:
            cold = start(engine, Path(folder))
            warm = [start(engine, Path(folder)) for _ in range(min(_NUM_WARM, options.repeats))]
        middle = {name: median(run[name] for run in warm) for name in cold}
        rows.append({"engine": engine, "cold": cold, "warm": middle})
    return {"models": list(_MODELS), "rows": rows}


def start(engine: Engine, cache: Path) -> dict[str, float]:
    """Start a process that keeps what it builds in a folder.

    Returns:
        Seconds of `library` (building or finding the native kernels; 0 for other engines), and of
        `first_step`, from the start of the process until it has taken the first step.
    """
    caches = {"HPO_CONTROL_CACHE": cache / "native", "TORCHINDUCTOR_CACHE_DIR": cache / "inductor"}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.speed.start_up", engine],
        env=os.environ | {name: str(path) for name, path in caches.items()},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
    if process.returncode != 0:
        raise RuntimeError(f"the start of engine {engine!r} failed; its error is printed above")
    return {"library": json.loads(line)["library"], "first_step": seconds}


def take_first_step(engine: Engine) -> None:
    """Take the first step of lanes of all models, and print when it is done."""
    import torch

    from hpo_env.tasks.supervised.family import SupervisedFamily
    from hpo_env.tasks.supervised.native.build import library

    torch.set_num_threads(1)
    started = time.perf_counter()
    if engine == "native":
        library()
    built = time.perf_counter() - started

    import numpy as np

    from hpo_env.vector_env import HPOControlVectorEnv

    rng = np.random.default_rng(0)
    tasks = [
        SupervisedFamily(dataset="pitch_result", model=model).sample(rng)
        for model in _MODELS
        for _ in range(_LANES_PER_MODEL)
    ]
    env = HPOControlVectorEnv(len(tasks), engine=engine, tasks=tasks)
    env.reset(seed=0)
    env.step(np.zeros(env.action_space.shape or (), dtype=np.float32))
    print(json.dumps({"library": built}), flush=True)


def tables(result: dict[str, Any]) -> list[Table]:
    """Show the seconds."""
    table = Table(title=f"Start of a process, {len(result['models'])} models")
    table.add_column("engine")
    for heading in ("library, cold", "library, warm", "first step, cold", "first step, warm"):
        table.add_column(heading, justify="right")
    for row in result["rows"]:
        seconds = [row[when][what] for what in ("library", "first_step") for when in _CACHES]
        table.add_row(row["engine"], *(f"{s:.2f} s" for s in seconds))
    return [table]


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return the goals of the warm starts."""
    return [
        Goal(
            what=f"start with full caches, five models, {row['engine']}",
            measured=row["warm"]["first_step"],
            bound=10.0,
            unit="s",
            is_least=False,
        )
        for row in result["rows"]
    ]


if __name__ == "__main__":
    take_first_step(cast(Engine, sys.argv[1]))  # the environment checks it
