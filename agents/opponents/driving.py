"""Driving one-run opponents: equal horizons together, in batches, from the first update to the end.

Axes: `N` lanes, `H` hyperparameters of the family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.networks.updaters import Updater
from hpo_env.tasks.base import Task
from hpo_env.telemetry import Telemetry

from .instances import Instance, Outcome
from .lanes import Lanes, Workload

Array = NDArray[np.float64]
Choose = Callable[[Lanes, Telemetry | None], Array]
"""Returns the values `[N, H]` of the next interval, from what the last one measured."""


def batches(workload: Workload, instances: Sequence[Instance]) -> list[list[int]]:
    """Group places in `instances` by horizon, in batches of at most `max_lanes`, sorted."""
    order = sorted(range(len(instances)), key=lambda i: running_order(instances[i].task))
    groups: dict[int, list[int]] = {}
    for i in order:
        groups.setdefault(instances[i].task.num_decisions, []).append(i)
    size = workload.max_lanes
    return [g[start : start + size] for g in groups.values() for start in range(0, len(g), size)]


def running_order(task: Task) -> Any:
    """Sort tasks so that those of equal length, and those that train fast together, are near."""
    return task.num_decisions, task.alike


def run_once(
    workload: Workload,
    instances: Sequence[Instance],
    start: Callable[[Lanes], Choose],
    *,
    updater: Updater | None = None,
) -> list[Outcome]:
    """Train each instance once.

    Args:
        workload: Where to train.
        instances: What to train.
        start: Called with the lanes of each batch; returns what chooses their values.
        updater: An update rule in the place of the tasks' own optimisers.

    Returns:
        An outcome for each instance, in the same order.
    """
    outcomes: dict[int, Outcome] = {}
    for batch in batches(workload, instances):
        lanes = workload.open([instances[i] for i in batch], updater=updater)
        choose = start(lanes)
        telemetry: Telemetry | None = None
        while not lanes.is_over.all():
            telemetry = lanes.advance(choose(lanes, telemetry))
        lanes.finish(np.arange(len(lanes)))
        outcomes |= {i: lanes.outcome(instances[i]) for i in batch}
    return [outcomes[i] for i in range(len(instances))]
