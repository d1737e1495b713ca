"""Choosing a schedule's initial rate on the meta-training tasks, where the agent learned, too.

A grid rather than a search: one number is tuned, and a grid cannot be accused of a bad search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.evaluation.methods import Scheduled, TunedRates, rate_column, with_rate
from agents.evaluation.protocol import run_method
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.tasks.base import Task
from hpo_env.tasks.registry import make_family

SMALLEST_RATE = 1e-5
"""Below it, no run of ordinary length gets anywhere: schedules and searches look above it."""


def rate_grid(space: HyperparameterSpace) -> tuple[float, ...]:
    """List two rates a decade over the range of the family's rate.

    Example:
        >>> from hpo_env.tasks.registry import make_family
        >>> [f"{rate:.2g}" for rate in rate_grid(make_family("local_level").space)]
        ['0.01', '0.032', '0.1', '0.32', '1']
    """
    known = space.hyperparameters[rate_column(space)]
    low, high = max(known.low, SMALLEST_RATE), known.high
    halves = range(round(2 * np.log10(low)), round(2 * np.log10(high)) + 1)
    return tuple(float(np.clip(10.0 ** (half / 2), low, high)) for half in halves)


def tune_rates(
    base_schedule: str,
    tasks: Sequence[Task],
    seeds: Sequence[int],
    *,
    family: str,
    grid: Sequence[float] | None = None,
    **options: Any,
) -> TunedRates:
    """Run a schedule from every rate of the grid, and keep the best.

    The best has the lowest mean log final validation loss; divergence counts as in the reward. Test
    rows play no part.

    Args:
        base_schedule: Name of the schedule.
        tasks: Meta-training tasks.
        seeds: Each task is run with each of them.
        family: The tasks' family.
        grid: Rates to try; `rate_grid` by default.
        **options: Further arguments of `run_method`.
    """
    space = make_family(family).space
    rates = rate_grid(space) if grid is None else tuple(grid)
    trials = [with_rate(task, space, rate) for task in tasks for rate in rates]
    own_rate = Scheduled(name=base_schedule, base_schedule=base_schedule)
    results = run_method(own_rate, trials, seeds, family=family, **options)
    scores = results.log_last_loss.reshape(len(tasks), len(rates), len(seeds)).mean(axis=2)
    optimizers = np.array([getattr(task, "optimizer", "") for task in tasks])
    best = {str(o): rates[scores[optimizers == o].mean(axis=0).argmin()] for o in set(optimizers)}
    overall = scores.mean(axis=0)
    return TunedRates(
        base_schedule=base_schedule,
        overall=rates[overall.argmin()],
        per_optimizer=best,
        scores=dict(zip(rates, overall.tolist(), strict=True)),
    )
