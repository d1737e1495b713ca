"""Every opponent of a suite in one line: how good, how sure, how it compares, where it is worst.

All differences are the opponent's log test loss less the controller's on the same run, so above 0
the controller did better. Nothing is left out where the controller did worse.

Axes: `M` opponents, `E` runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from . import resampling
from .intervals import TIE, interquartile_mean
from .pairing import REFERENCE, PairedRuns, mean_by
from .regret import log_regret, normalised_regret
from .resampling import Estimate, Resamples

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """The controller against one opponent, over one suite.

    Args:
        difference: Mean difference.
        iqm_difference: Interquartile mean of the differences.
        probability: How often the controller did better, an exact tie counting half.
        wins: Runs in which the controller did better by more than `TIE`.
        ties: Runs within `TIE`.
        losses: Runs in which the controller did worse by more than `TIE`.
        hardest_task: The task on which the controller did worst against it.
        hardest_difference: The mean difference there.
    """

    difference: Estimate
    iqm_difference: Estimate
    probability: Estimate
    wins: int
    ties: int
    losses: int
    hardest_task: str
    hardest_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OpponentSummary:
    """One opponent over one suite.

    Args:
        opponent: Its name.
        num_runs: E.
        runs_spent: Mean cost of one result, in runs from start to end.
        mean: Mean log test loss; divergence as in `records`.
        iqm: Interquartile mean of the same.
        log_regret: Mean regret in log units.
        normalised_regret: Mean regret from 0, the best known, to 1, untrained.
        rank: Mean rank among all opponents of the suite, 1 the best; equals share a rank.
        diverged: Share of the runs that diverged.
        rate_spread: Largest less smallest log test loss over the initial rates of one task and
            seed, mean over these; NaN where there is one rate.
        worst_task: The task on which it has the largest mean regret.
        worst_regret: That regret, log units.
        against: How the controller compares; None for the controller itself.
    """

    opponent: str
    num_runs: int
    runs_spent: float
    mean: float
    iqm: float
    log_regret: float
    normalised_regret: float
    rank: float
    diverged: float
    rate_spread: float
    worst_task: str
    worst_regret: float
    against: Against | None


def summarise_suite(runs: PairedRuns) -> list[OpponentSummary]:
    """Summarise every opponent of a suite, the lowest mean log test loss first."""
    losses, tasks = runs.values("log_test_loss"), runs.tasks
    regret = log_regret(losses, tasks)
    normalised = normalised_regret(losses, runs.values("first_loss"), tasks).mean(axis=1)
    names, regret_by_task = mean_by(regret, tasks)
    worst = regret_by_task.argmax(axis=1)
    ranks = stats.rankdata(losses, axis=0).mean(axis=1)
    diverged = runs.values("diverged").mean(axis=1)
    spread, spent = rate_spread(losses, runs.keys("unit")), runs.runs_spent.mean(axis=1)
    resamples = Resamples.draw(runs.keys("task"), runs.keys("unit"))
    summaries = [
        OpponentSummary(
            opponent=opponent,
            num_runs=losses.shape[1],
            runs_spent=float(spent[m]),
            mean=float(losses[m].mean()),
            iqm=interquartile_mean(losses[m]),
            log_regret=float(regret[m].mean()),
            normalised_regret=float(normalised[m]),
            rank=float(ranks[m]),
            diverged=float(diverged[m]),
            rate_spread=float(spread[m]),
            worst_task=names[worst[m]],
            worst_regret=float(regret_by_task[m, worst[m]]),
            against=(
                None if opponent == REFERENCE else _against(losses[m] - losses[0], tasks, resamples)
            ),
        )
        for m, opponent in enumerate(runs.opponents)
    ]
    return sorted(summaries, key=lambda summary: summary.mean)


def _against(differences: Array, tasks: NDArray[np.str_], resamples: Resamples) -> Against:
    """Compare with the controller, by differences `[E]`."""
    names, means = mean_by(differences[None], tasks)
    hardest = int(means[0].argmin())
    return Against(
        difference=resamples.estimate(differences),
        iqm_difference=resamples.estimate(differences, resampling.interquartile_mean),
        probability=resamples.estimate(0.5 * (np.sign(differences) + 1.0)),
        wins=int((differences > TIE).sum()),
        ties=int((np.abs(differences) <= TIE).sum()),
        losses=int((differences < -TIE).sum()),
        hardest_task=names[hardest],
        hardest_difference=float(means[0, hardest]),
    )


def rate_spread(losses: Array, units: NDArray[np.str_]) -> Array:
    """Return how far results lie apart by the user's initial rate alone `[M]`.

    Args:
        losses: Log test losses `[M, E]`.
        units: Equal for runs that differ in the initial rate alone `[E]`.

    Returns:
        Largest less smallest of a unit, mean over units of two rates or more; NaN without any.

    Example:
        >>> rate_spread(np.array([[1.0, 3.0, 5.0]]), np.array(["u", "u", "v"])).tolist()
        [2.0]
    """
    groups = [losses[:, units == unit] for unit in np.unique(units)]
    spreads = [np.ptp(group, axis=1) for group in groups if group.shape[1] > 1]
    return np.mean(spreads, axis=0) if spreads else np.full(len(losses), np.nan)
