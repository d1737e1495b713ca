"""What a lane costs, in time and in memory, by the number of lanes."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.table import Table

from benchmarks.speed.goals import Goal
from benchmarks.speed.options import Options
from benchmarks.speed.timing import measure_in_turn
from benchmarks.speed.workloads import Workload, environment_steps

_MODEL, _DATASET = "mlp_64x2", "pitch_result"
_COMPARED = (1024, 64)


def measure(options: Options) -> dict[str, Any]:
    """Measure memory in processes of their own, then time all numbers of lanes in turn."""
    memory = [_in_new_process(lanes, options) for lanes in options.lane_counts]
    counts = options.lane_counts
    ways = {str(lanes): _steps(lanes, options) for lanes in counts}
    rates = measure_in_turn(ways, repeats=options.repeats, seconds=options.seconds)
    rows = [
        {
            "lanes": lanes,
            "milliseconds_per_lane_step": 1e3 * median(1.0 / r for r in rates[str(lanes)]),
            "bytes_per_lane": grown / lanes,
        }
        for lanes, grown in zip(counts, memory, strict=True)
    ]
    result: dict[str, Any] = {"model": _MODEL, "updates": options.updates, "rows": rows}
    many, few = (str(n) for n in _COMPARED)
    if many in rates and few in rates:
        result["many_over_few"] = median(
            b / a for a, b in zip(rates[many], rates[few], strict=True)
        )
    return result


def _steps(lanes: int, options: Options) -> Callable[[], int]:
    workload = Workload(model=_MODEL, dataset=_DATASET, lanes=lanes, updates=options.updates)
    return environment_steps(workload, options.engine)


def _in_new_process(lanes: int, options: Options) -> float:
    """Return `memory_growth` where no memory that was freed before is used again."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(memory_growth, lanes, options).result()


def memory_growth(lanes: int, options: Options) -> float:
    """Return the bytes by which this process grows with an environment that has taken a step.

    What all lanes share is not counted: libraries, kernels and the data set's file.
    """
    torch.set_num_threads(1)
    first = _steps(1, options)
    first()
    before = _resident_bytes()
    step = _steps(lanes, options)
    step()  # memory counts once it is written to
    return _resident_bytes() - before


def _resident_bytes() -> float:
    """Return the memory that the process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def tables(result: dict[str, Any]) -> list[Table]:
    """Show time and memory."""
    table = Table(
        title=f"Cost of a lane, {result['model']}, one thread",
        caption="memory: growth of a process that has run one lane",
    )
    for heading in ("lanes", "ms per lane step", "memory per lane, MB"):
        table.add_column(heading, justify="right")
    for row in result["rows"]:
        table.add_row(
            f"{row['lanes']:,}",
            f"{row['milliseconds_per_lane_step']:.3f}",
            f"{row['bytes_per_lane'] / 1e6:.2f}",
        )
    return [table]


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return the goal of the growth."""
    if "many_over_few" not in result:
        return []
    many, few = _COMPARED
    what = f"cost per lane, {many:,} lanes over {few}"
    return [Goal(what=what, measured=result["many_over_few"], bound=1.1, is_least=False)]
