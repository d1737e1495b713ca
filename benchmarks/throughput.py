"""How fast everything runs, beside the loop that everybody writes.

An environment step is one model's share of an interval: `updates` AdamW updates on minibatches of
64 with gradient clipping, then one pass over the validation rows. All of it runs on one thread,
except for the worker processes of `shards`. Ratios are medians of things measured in turn.

    python benchmarks/throughput.py --json logs/throughput.json --plot logs/throughput.png
    python benchmarks/throughput.py --only models --models attention_8x32 cnn_8x8
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.speed import agent, lanes, matmul, models, shards, start_up
from benchmarks.speed.goals import Goal, goals_table
from benchmarks.speed.options import Options, PartName
from benchmarks.speed.plot import save_plot
from benchmarks.speed.timing import machine
from hpo_env.errors import ConfigurationError
from hpo_env.tasks.supervised.native.kernel import set_num_threads

_FILE_WIDTH = 130  # characters of a table that goes to a file


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the benchmark.

    Args:
        measure: Returns plain data.
        tables: Shows it.
        goals: Picks the numbers that have goals.
    """

    measure: Callable[[Options], dict[str, Any]]
    tables: Callable[[dict[str, Any]], list[Table]]
    goals: Callable[[dict[str, Any]], list[Goal]]


PARTS: dict[PartName, Part] = {
    "models": Part(measure=models.measure, tables=models.tables, goals=models.goals),
    "matmul": Part(measure=matmul.measure, tables=matmul.tables, goals=matmul.goals),
    "agent": Part(measure=agent.measure, tables=agent.tables, goals=agent.goals),
    "shards": Part(measure=shards.measure, tables=shards.tables, goals=shards.goals),
    "lanes": Part(measure=lanes.measure, tables=lanes.tables, goals=lanes.goals),
    "start_up": Part(measure=start_up.measure, tables=start_up.tables, goals=start_up.goals),
}


def main(options: Options) -> dict[str, Any]:
    """Measure, print, write and return everything.

    Raises:
        ConfigurationError: A plot is asked for, but not the parts that it shows.
    """
    missing = {"models", "lanes"} - set(options.only)
    if options.plot is not None and missing:
        raise ConfigurationError(
            f"the plot shows the parts models and lanes; --only leaves out {sorted(missing)}"
        )
    torch.set_num_threads(1)
    set_num_threads(1)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    result: dict[str, Any] = {"machine": machine(), "parts": {}, "goals": []}
    listed: list[Goal] = []
    for name in options.only:
        part = PARTS[name]
        with console.status(f"measuring {name}"):
            measured = part.measure(options)
        console.print(*part.tables(measured))
        result["parts"][name] = measured
        listed += part.goals(measured)
    result["goals"] = [goal.to_json() for goal in listed]
    console.print(goals_table(listed))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if options.plot is not None:
        save_plot(result, options.plot)
    return result


if __name__ == "__main__":
    main(tyro.cli(Options))
