"""A comparison's numbers as rows of words, for the page and for the README alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from agents.evaluation.report import format_interval
from agents.statistics.aggregate import OpponentSummary
from agents.statistics.costs import Cost
from agents.statistics.pairing import REFERENCE
from agents.statistics.trials_equivalent import TrialsEquivalent

Rows = list[tuple[str, ...]]

SUMMARY_HEAD = (
    "method",
    "runs spent",
    "mean log test loss",
    "less the controller's [new runs]",
    "[new data sets]",
    "P(controller better)",
    "wins / ties / losses",
    "rank",
    "diverged",
)
DETAIL_HEAD = (
    "method",
    "IQM",
    "IQM less the controller's",
    "P [new data sets]",
    "log regret",
    "regret 0 to 1",
    "its worst task",
    "regret there",
    "controller's worst task",
    "difference there",
    "spread over rates",
    "AlgoPerf score",
)
DETAIL_WORDS = ("its worst task", "controller's worst task")
BEATEN = "beaten on average"
"""The last row of an overview."""

TRIALS_HEAD = (
    "suite",
    "search",
    "runs",
    "trials needed, median",
    "95 %, new runs",
    "95 %, new data sets",
    "reached within budget",
)
COST_HEAD = ("method", "updates", "seconds in training", "seconds in decisions", "overhead")


def summary_rows(summaries: Sequence[OpponentSummary]) -> Rows:
    """Return rows of `SUMMARY_HEAD`, in the order given."""
    return [_summary_row(summary) for summary in summaries]


def _summary_row(summary: OpponentSummary) -> tuple[str, ...]:
    against = summary.against
    compared = ("", "", "", "")
    if against is not None:
        probability = against.probability
        compared = (
            format_interval(against.difference.runs),
            interval_alone(against.difference.data_sets.low, against.difference.data_sets.high),
            f"{probability.value:.2f} "
            + interval_alone(probability.runs.low, probability.runs.high, "{:.2f}"),
            f"{against.wins} / {against.ties} / {against.losses}",
        )
    return (
        summary.opponent,
        f"{summary.runs_spent:.3g}",
        f"{summary.mean:.3f}",
        *compared,
        f"{summary.rank:.1f}",
        share(summary.diverged),
    )


def detail_rows(summaries: Sequence[OpponentSummary], scores: Mapping[str, float]) -> Rows:
    """Return rows of `DETAIL_HEAD`.

    Args:
        summaries: In the order of rows.
        scores: AlgoPerf's score by opponent.
    """
    rows: Rows = []
    for summary in summaries:
        against, spread = summary.against, summary.rate_spread
        compared, hardest = ("", ""), ("", "")
        if against is not None:
            sets = against.probability.data_sets
            compared = (
                format_interval(against.iqm_difference.runs),
                interval_alone(sets.low, sets.high, "{:.2f}"),
            )
            hardest = (against.hardest_task, f"{against.hardest_difference:+.3f}")
        rows.append(
            (
                summary.opponent,
                f"{summary.iqm:.3f}",
                *compared,
                f"{summary.log_regret:.3f}",
                f"{summary.normalised_regret:.3f}",
                summary.worst_task,
                f"{summary.worst_regret:.3f}",
                *hardest,
                "–" if math.isnan(spread) else f"{spread:.3f}",
                f"{scores[summary.opponent]:.3f}",
            )
        )
    return rows


def overview(summaries: Mapping[str, Sequence[OpponentSummary]]) -> tuple[tuple[str, ...], Rows]:
    """Return the differences to the controller by method and suite, as a head and rows.

    Methods are ordered by their mean difference over suites, the best first; where a method has no
    result on a suite its cell is empty.

    Args:
        summaries: By suite.
    """
    cells: dict[str, dict[str, float]] = {}
    for suite, entries in summaries.items():
        for entry in entries:
            found = 0.0 if entry.against is None else entry.against.difference.value
            cells.setdefault(entry.opponent, {})[suite] = found
    order = sorted(cells, key=lambda name: sum(cells[name].values()) / len(cells[name]))
    rows = [
        (name, *(f"{cells[name][s]:+.3f}" if s in cells[name] else "" for s in summaries))
        for name in order
        if name != REFERENCE
    ]
    better = tuple(
        f"{sum(x.get(s, -1.0) > 0.0 for x in cells.values())} of "
        f"{sum(s in x for x in cells.values()) - 1}"
        for s in summaries
    )
    return ("method", *summaries), [*rows, (BEATEN, *better)]


def trials_rows(found: Sequence[TrialsEquivalent]) -> Rows:
    """Return rows of `TRIALS_HEAD`."""
    return [
        (
            entry.suite,
            entry.search,
            str(entry.num_runs),
            entry.words(entry.median.value),
            _range(entry, entry.median.runs.low, entry.median.runs.high),
            _range(entry, entry.median.data_sets.low, entry.median.data_sets.high),
            f"{share(entry.reached)} within {entry.budget}",
        )
        for entry in found
    ]


def _range(entry: TrialsEquivalent, low: float, high: float) -> str:
    if math.isnan(low) or low == high:
        return entry.words(low)
    return f"{entry.words(low)} to {entry.words(high)}"


def cost_rows(costs: Sequence[Cost]) -> Rows:
    """Return rows of `COST_HEAD`."""
    return [
        (
            cost.opponent,
            f"{cost.num_updates:,.0f}",
            f"{cost.train_seconds:.3g}",
            f"{cost.overhead_seconds:.3g}",
            f"{100.0 * cost.overhead_share:.1f} %",
        )
        for cost in costs
    ]


def interval_alone(low: float, high: float, form: str = "{:+.3f}") -> str:
    """Write an interval without its estimate.

    Example:
        >>> interval_alone(-0.1, 0.25)
        '[-0.100, +0.250]'
    """
    return "–" if math.isnan(low) else f"[{form.format(low)}, {form.format(high)}]"


def share(value: float) -> str:
    """Write a share of 0 to 1 as per cent.

    Example:
        >>> share(0.125)
        '12 %'
    """
    return f"{100.0 * value:.0f} %"
