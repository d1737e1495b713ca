"""How many trials a search needs until it has in hand what the controller reaches in one run.

The search's incumbent is chosen by validation loss and valued by test loss. The count is the number
of trials, in the order in which they ended, when its test loss is first no higher than that of the
controller's single run on the same task and seed. First, and not from then on: the kinder reading
for the search. A search that never gets there within its budget of K trials is counted as
"more than K", which is all that is known.

Each initial rate is a run of its own for the controller, so each has a count. Rates of one task and
seed are drawn together when intervals are computed. Many seeds are worth their time here: a median
of few counts moves in leaps.

Axes: `E` runs, `K` trials.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import resampling
from .incumbent import incumbents, row_log_loss
from .pairing import PairedRuns
from .resampling import Estimate, Resamples

Array = NDArray[np.float64]

SEARCHES = ("optuna_tpe", "random_search")
"""Searches that are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialsEquivalent:
    """How many trials a search needs on a suite.

    Args:
        suite: Its name.
        search: The search's name.
        budget: K, the trials that every one of its runs has had.
        num_runs: E.
        reached: Share of the runs in which it got there within K.
        median: Median count over runs, `budget + 1` standing for "more than K". As lower medians
            are used, it is the number of trials within which half of the runs got there.
    """

    suite: str
    search: str
    budget: int
    num_runs: int
    reached: float
    median: Estimate

    def words(self, count: float) -> str:
        """Write a count of trials, or what is known of one: "7", "> 32"; "–" for NaN."""
        if np.isnan(count):
            return "–"
        return f"> {self.budget}" if count > self.budget else f"{count:.0f}"


def trials_equivalent(runs: PairedRuns) -> list[TrialsEquivalent]:
    """Count for every search of `SEARCHES` that the suite has."""
    resamples = Resamples.draw(runs.keys("task"), runs.keys("unit"))
    found = []
    for search in SEARCHES:
        if search not in runs.frames:
            continue
        frame = runs.frames[search]
        budget = min(len(losses) for losses in frame["trial_test_loss"])
        counts = trials_needed(frame, runs.values("log_test_loss")[0], budget)
        found.append(
            TrialsEquivalent(
                suite=runs.suite,
                search=search,
                budget=budget,
                num_runs=len(counts),
                reached=float((counts <= budget).mean()),
                median=resamples.estimate(counts, resampling.median),
            )
        )
    return found


def trials_needed(frame: pd.DataFrame, log_targets: Array, budget: int) -> Array:
    """Return the trials that a search needs in each run `[E]`, `budget + 1` for more than it.

    Args:
        frame: The search's rows, E.
        log_targets: Log test losses to be reached `[E]`.
        budget: Trials that are looked at; one number for all, as a run with more could reach its
            target where another had stopped.
    """
    pairs = zip(frame.iterrows(), log_targets, strict=True)
    return np.array([_needed(row, float(target), budget) for (_, row), target in pairs])


def _needed(row: pd.Series, target: float, budget: int) -> float:
    validation = np.asarray(row["trial_validation_loss"], dtype=np.float64)
    intervals = np.asarray(row["trial_intervals"], dtype=np.int64)
    best = incumbents(validation, intervals, len(row["validation_loss"]))[:budget]
    losses = row_log_loss(np.asarray(row["trial_test_loss"])[best], row)
    reached = np.flatnonzero(losses <= target)
    return float(reached[0] + 1) if len(reached) else float(budget + 1)
