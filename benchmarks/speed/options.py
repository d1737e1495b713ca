"""What is measured, how long and how often."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from hpo_env.networks.registry import ARCHITECTURES
from hpo_env.tasks.base import Engine

PartName = Literal["models", "matmul", "agent", "shards", "lanes", "start_up"]
PART_NAMES: tuple[PartName, ...] = get_args(PartName)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure how fast everything runs.

    Args:
        only: Parts to measure: models (every architecture against the torch.optim loop), matmul
            (share of the processor's matrix-multiply rate), agent (meta-training with PPO), shards
            (two worker processes over one), lanes (cost and memory a lane, by number of lanes) and
            start_up (with empty caches and full ones).
        engine: Engine that is measured.
        updates: Updates in one environment step.
        lanes: Lanes of the two rows that have goals for the MLP.
        models: Architectures of the other rows.
        model_lanes: Lanes of those.
        agent_lanes: Lanes of meta-training.
        shard_lanes: Lanes that the workers share.
        lane_counts: Numbers of lanes whose costs are compared.
        start_up_engines: Engines whose start is timed; "compiled" takes minutes with empty caches.
        repeats: Measurements of each kind, taken in turn; medians are reported.
        seconds: Length of one measurement, at least.
        json: Where to write the numbers as well.
        plot: Where to draw them, a PNG or SVG file; needs `models` and `lanes`.
    """

    only: tuple[PartName, ...] = PART_NAMES
    engine: Engine = "native"
    updates: int = 10
    lanes: int = 64
    models: tuple[str, ...] = tuple(ARCHITECTURES)
    model_lanes: int = 32
    agent_lanes: int = 128
    shard_lanes: int = 128
    lane_counts: tuple[int, ...] = (1, 4, 16, 64, 256, 1024, 4096)
    start_up_engines: tuple[Engine, ...] = ("native",)
    repeats: int = 7
    seconds: float = 0.3
    json: Path | None = None
    plot: Path | None = None
