"""Performance profiles: on which share of tasks is an opponent within a factor of the best.

Cost profiles are Dolan and Moré's (2002) as AlgoPerf scores with them (Dahl et al., "Benchmarking
Neural Network Training Algorithms", 2023, section 4): a workload is a task, an opponent's cost is
the inner updates that it spends until a target validation loss is reached, and its score is the
area under its profile. Score profiles are Agarwal et al.'s (2021, section 4.3): the share of runs
that score above a threshold.

Axes: `M` opponents, `E` runs, `W` workloads, `G` thresholds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .incumbent import row_log_loss
from .pairing import PairedRuns

Array = NDArray[np.float64]

TAU_MAX = 4.0
"""Upper limit of the ratios that a score looks at, AlgoPerf's."""

ANCHOR = "default"
"""The opponent whose final loss is the target: nobody tuned it, and no opponent moves it."""


_SLACK = 1e-9  # of a mean of equal numbers, so that the anchor reaches what it ends with


def targets(runs: PairedRuns) -> Array:
    """Return the log validation loss that has to be reached in each run `[E]`.

    It is what `ANCHOR` ends with on the same task and seed, averaged over initial rates; without
    that opponent, the median over all opponents of the same. An anchor's target stays as it is when
    opponents are added.
    """
    if ANCHOR in runs.frames:
        final = runs.frames[ANCHOR]["log_last_loss"].to_numpy(np.float64)
    else:
        final = np.median(runs.values("log_last_loss"), axis=0)
    _, unit = np.unique(runs.keys("unit"), return_inverse=True)
    means: Array = (np.bincount(unit, weights=final) / np.bincount(unit))[unit]
    return means


def costs_to_target(runs: PairedRuns, log_targets: Array) -> Array:
    """Return what is spent until the target is reached, in runs `[M, E]`; infinite if it is missed.

    One-run opponents stop the clock at the first decision interval that ends at or below the
    target, searches when the first such trial ends.

    Args:
        runs: One suite's.
        log_targets: `[E]`.
    """
    updates = runs.updates_per_run
    return np.array(
        [
            [
                _cost(row, float(target), float(n))
                for (_, row), target, n in zip(frame.iterrows(), log_targets, updates, strict=True)
            ]
            for frame in runs.frames.values()
        ]
    )


def _cost(row: pd.Series, target: float, updates: float) -> float:
    spent = np.asarray(row["spent_updates"], dtype=np.float64) / updates
    losses = np.asarray(row["trial_validation_loss"], dtype=np.float64)
    if len(losses) == 1:
        losses = np.asarray(row["validation_loss"])[: int(row["trial_intervals"][0])]
        spent = spent[0] * np.arange(1, len(losses) + 1) / max(len(losses), 1)
    reached = row_log_loss(losses, row) <= target + _SLACK
    return float(spent[reached].min()) if reached.any() else float("inf")


def cost_ratios(costs: Array, tasks: NDArray[Any]) -> Array:
    """Return each opponent's cost over the lowest of all opponents on each workload `[M, W]`.

    A workload is a task; an opponent's cost there is the median over its runs, so it counts as
    missed when half of the runs miss the target. What nobody reaches is infinite for all.

    Args:
        costs: Positive, infinite where the target is missed `[M, E]`.
        tasks: Which task each run is of `[E]`.

    Example:
        >>> costs = np.array([[1.0, np.inf], [3.0, np.inf]])
        >>> cost_ratios(costs, np.array(["a", "b"])).tolist()
        [[1.0, inf], [3.0, inf]]
    """
    by_task = np.stack([np.median(costs[:, tasks == t], axis=1) for t in np.unique(tasks)], axis=1)
    best = by_task.min(axis=0)
    reached = np.isfinite(best)
    return np.where(reached, by_task / np.where(reached, best, 1.0), np.inf)


def cost_profile(ratios: Array, taus: Array) -> Array:
    """Return the share of workloads within each factor of the best `[M, G]`.

    Args:
        ratios: `[M, W]`.
        taus: Factors from 1 up `[G]`.

    Example:
        >>> cost_profile(np.array([[1.0, 2.0, np.inf]]), np.array([1.0, 2.0])).round(2).tolist()
        [[0.33, 0.67]]
    """
    shares: Array = (ratios[:, :, None] <= taus).mean(axis=1)
    return shares


def integrated_score(ratios: Array, *, tau_max: float = TAU_MAX) -> Array:
    """Return the area under each profile from 1 to tau_max, over `tau_max - 1` `[M]`.

    A profile is a staircase, so the area is exact: a workload with ratio r adds `tau_max - r`.

    Args:
        ratios: `[M, W]`.
        tau_max: Where the area ends; above 1.

    Returns:
        From 0, never within tau_max of the best, to 1, the best everywhere.

    Example:
        >>> integrated_score(np.array([[1.0, 2.5], [4.0, np.inf]])).tolist()
        [0.75, 0.0]
    """
    scores: Array = np.clip((tau_max - ratios) / (tau_max - 1.0), 0.0, 1.0).mean(axis=1)
    return scores


def score_profile(scores: Array, thresholds: Array) -> Array:
    """Return the share of runs that score above each threshold `[M, G]`.

    Args:
        scores: Higher is better `[M, E]`.
        thresholds: `[G]`.

    Example:
        >>> score_profile(np.array([[0.2, 0.8]]), np.array([0.0, 0.5, 0.8])).tolist()
        [[1.0, 0.5, 0.0]]
    """
    shares: Array = (scores[:, :, None] > thresholds).mean(axis=1)
    return shares
