"""One line an opponent, in the form that the closing analysis reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.evaluation.protocol import Results
from agents.statistics.intervals import (
    TIE,
    Interval,
    bootstrap_mean,
    interquartile_mean,
    probability_of_improvement,
)
from hpo_env.errors import ConfigurationError, unknown_name

__all__ = ["TIE", "Interval", "MethodSummary", "bootstrap_mean", "check_paired", "summarize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSummary:
    """One method beside the reference, which is the controller.

    Differences are the method's log test loss less the reference's: positive where the reference
    did better.

    Args:
        method: Its name.
        num_runs: E.
        mean_log_test_loss: Mean; divergence as in `Results.log_test_loss`.
        iqm_log_test_loss: Interquartile mean of the same.
        difference: Mean difference; None for the reference itself.
        probability_of_improvement: How often the reference did better; None for itself.
        wins: Runs in which the reference did better by more than `TIE`.
        ties: Runs within `TIE`.
        losses: Runs in which the reference did worse by more than `TIE`.
        worst_task: The data set on which the reference did worst against this method.
        worst_difference: The mean difference there.
        diverged: Share of the method's runs that diverged.
    """

    method: str
    num_runs: int
    mean_log_test_loss: float
    iqm_log_test_loss: float
    difference: Interval | None
    probability_of_improvement: float | None
    wins: int
    ties: int
    losses: int
    worst_task: str
    worst_difference: float
    diverged: float


def summarize(
    results: Mapping[str, Results], *, reference: str = "controller"
) -> list[MethodSummary]:
    """Compare every method with the reference, the reference first and then the best first.

    Args:
        results: By method, all on the same runs.
        reference: The method that the others are compared with.

    Raises:
        UnknownNameError: There is no such reference.
        ConfigurationError: The methods did not run on the same tasks and seeds.
    """
    if reference not in results:
        raise unknown_name("method", reference, results)
    for other in results.values():
        check_paired(results[reference], other)
    summaries = [_summarize(other, results[reference]) for other in results.values()]
    return sorted(summaries, key=lambda s: (s.method != reference, s.mean_log_test_loss))


def check_paired(one: Results, other: Results) -> None:
    """Check that entry `e` of both results is the same run.

    Raises:
        ConfigurationError: It is not.
    """
    if one.tasks != other.tasks or not np.array_equal(one.seeds, other.seeds):
        raise ConfigurationError(
            f"methods {one.method!r} and {other.method!r} did not run on the same tasks and seeds; "
            "give run_method the same lists"
        )


def _summarize(results: Results, reference: Results) -> MethodSummary:
    losses, names = results.log_test_loss, results.names
    differences = losses - reference.log_test_loss
    by_name = {str(name): float(differences[names == name].mean()) for name in np.unique(names)}
    worst = min(by_name, key=lambda name: by_name[name])
    is_reference = results is reference
    return MethodSummary(
        method=results.method,
        num_runs=len(results),
        mean_log_test_loss=float(losses.mean()),
        iqm_log_test_loss=interquartile_mean(losses),
        difference=None if is_reference else bootstrap_mean(differences, names, results.units),
        probability_of_improvement=(
            None if is_reference else probability_of_improvement(differences)
        ),
        wins=int((differences > TIE).sum()),
        ties=int((np.abs(differences) <= TIE).sum()),
        losses=int((differences < -TIE).sum()),
        worst_task=worst,
        worst_difference=by_name[worst],
        diverged=float(results.diverged.mean()),
    )
