"""How much faster lanes run when they are spread over processes.

The same lanes run in this process, in one worker and in several, taken in turn. Two speed-ups are
given: by the clock, which other programs on the machine spoil, and by processor time, where a step
takes what this process and the busiest worker spend: what the clock would show if each had a core
to itself.

    python benchmarks/sharding.py --json logs/sharding.json
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.speed.timing import machine
from hpo_env.sharding import ShardedVectorEnv, make_vector_env
from hpo_env.tasks.base import Engine
from hpo_env.vector_env import HPOControlVectorEnv


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure sharding.

    Args:
        lanes: Lanes in all.
        workers: Numbers of workers; 0 is this process. The last is compared with 1.
        model: Architecture; None draws them as in meta-training.
        updates: Updates in one environment step.
        engine: Engine of the workers.
        repeats: Measurements of each kind, taken in turn; their median is reported.
        seconds: Length of one measurement.
        json: Where to write the numbers as well.
    """

    lanes: int = 128
    workers: tuple[int, ...] = (0, 1, 2)
    model: str | None = "mlp_64x2"
    updates: int = 10
    engine: Engine = "auto"
    repeats: int = 7
    seconds: float = 1.0
    json: Path | None = None


class Run:
    """An environment that is stepped and timed."""

    def __init__(self, options: Options, num_workers: int) -> None:
        task = {} if options.model is None else {"dataset": "pitch_result", "model": options.model}
        arguments: dict[str, Any] = task | {"engine": options.engine}
        self.env: HPOControlVectorEnv | ShardedVectorEnv = make_vector_env(
            options.lanes,
            num_workers=num_workers,
            updates_per_decision=options.updates,
            num_decisions=10**6,  # no episode ends in the middle of a measurement
            **arguments,
        )
        self.env.reset(seed=0)
        self._still = np.zeros(self.env.action_space.shape or (), dtype=np.float32)
        self.env.step(self._still)  # compiles, and fills caches

    def measure(self, seconds: float) -> tuple[float, float]:
        """Return steps of a lane per second, by the clock and by processor time."""
        workers = self.env.worker_pids if isinstance(self.env, ShardedVectorEnv) else []
        clocks = [_processor_clock(pid) for pid in workers]
        before = [time.clock_gettime(clock) for clock in clocks]
        own, started, num_steps = time.process_time(), time.perf_counter(), 0
        while (elapsed := time.perf_counter() - started) < seconds:
            self.env.step(self._still)
            num_steps += self.env.num_envs
        spent = [time.clock_gettime(c) - b for c, b in zip(clocks, before, strict=True)]
        busy = time.process_time() - own + max(spent, default=0.0)
        return num_steps / elapsed, num_steps / busy


def _processor_clock(pid: int) -> int:
    """Return Linux's clock of the processor time of a process, as `clock_getcpuclockid` does."""
    return (~pid << 3) | 2


def measure(options: Options) -> dict[str, Any]:
    """Measure all numbers of workers in turn."""
    torch.set_num_threads(1)
    runs = {k: Run(options, k) for k in options.workers}
    measured: dict[int, list[tuple[float, float]]] = {k: [] for k in runs}
    for _ in range(options.repeats):
        for k, run in runs.items():
            measured[k].append(run.measure(options.seconds))
    for run in runs.values():
        run.env.close()
    rows = [
        {
            "workers": k,
            "steps_per_second": median(clock for clock, _ in pairs),
            "steps_per_processor_second": median(busy for _, busy in pairs),
        }
        for k, pairs in measured.items()
    ]
    result: dict[str, Any] = {
        "lanes": options.lanes,
        "model": options.model,
        "updates": options.updates,
        "machine": machine(),
        "rows": rows,
    }
    if 1 in measured:
        pairs = list(zip(measured[options.workers[-1]], measured[1], strict=True))
        result["speedup"] = median(many[0] / one[0] for many, one in pairs)
        result["speedup_by_processor_time"] = median(many[1] / one[1] for many, one in pairs)
    return result


def main(options: Options) -> dict[str, Any]:
    """Measure, print and return everything."""
    console = Console()
    with console.status("measuring"):
        result = measure(options)
    console.print(table(result))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return result


def table(result: dict[str, Any]) -> Table:
    """Show the speeds."""
    caption = None
    if "speedup" in result:
        caption = (
            f"last over one worker: {result['speedup']:.2f}x by the clock, "
            f"{result['speedup_by_processor_time']:.2f}x by processor time"
        )
    shown = Table(title=f"{result['lanes']} lanes over worker processes", caption=caption)
    for heading in ("workers", "steps/s", "steps/s with free cores"):
        shown.add_column(heading, justify="right")
    for row in result["rows"]:
        shown.add_row(
            str(row["workers"]) if row["workers"] else "this process",
            f"{row['steps_per_second']:,.0f}",
            f"{row['steps_per_processor_second']:,.0f}",
        )
    return shown


if __name__ == "__main__":
    main(tyro.cli(Options))
