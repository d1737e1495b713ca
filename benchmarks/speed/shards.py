"""Two worker processes over one; `benchmarks/sharding.py` measures more of it."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from benchmarks import sharding
from benchmarks.speed.goals import Goal
from benchmarks.speed.options import Options


def measure(options: Options) -> dict[str, Any]:
    """Measure the same lanes in one worker and in two, in turn."""
    chosen = sharding.Options(
        lanes=options.shard_lanes,
        workers=(1, 2),
        updates=options.updates,
        engine=options.engine,
        repeats=options.repeats,
        seconds=options.seconds,
    )
    return sharding.measure(chosen)


def tables(result: dict[str, Any]) -> list[Table]:
    """Show the speeds."""
    return [sharding.table(result)]


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return the goal of the speed-up, which is one of the clock."""
    return [Goal(what="two shards over one", measured=result["speedup"], bound=1.85)]
