"""The tables of a comparison: for the page, the README and a terminal alike.

A loss is reported like a win: rows are ordered by what was measured and nothing is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from agents.evaluation.aggregate import OpponentSummary
from agents.evaluation.costs import Cost
from agents.evaluation.pairing import REFERENCE, PairedRuns
from agents.evaluation.resampling import Resamples
from agents.evaluation.statistics import TIE, Interval
from agents.evaluation.trials_equivalent import TrialsEquivalent
from agents.reporting.frames import LABEL, label_names
from agents.reporting.tables import Table

IsKnown = Callable[[str, str], bool | None]
"""Says whether meta-training has tasks whose label of a name has a value; None: not known."""

BEATEN = "beaten on average"
"""The last row of an overview."""

_SUMMARY_HEAD = (
    "opponent",
    "runs spent",
    "mean log test loss",
    "less the controller's [new runs]",
    "[new tasks]",
    "P(controller better)",
    "wins / ties / losses",
    "rank",
    "diverged",
)
MARKDOWN_SUMMARY = tuple(name for name in _SUMMARY_HEAD if name != "rank")
"""Columns that the README shows."""

_SUMMARY_NOTE = (
    "Rows are ordered by mean log test loss, the best first; the controller stands where it "
    "belongs. All opponents ran on the same tasks, with the same draws. A difference "
    "above 0 means that the controller did better. It has two 95 % intervals, as there are two "
    "questions: “new runs” asks what other seeds on these tasks would give, “new tasks” "
    "what tasks of other names would give, and draws whole ones; the few there are make even that "
    "one narrower than it should be. P is how often the controller did better, with its interval "
    "for new runs; wins and losses are by more than "
    f"{100 * TIE:.0f} % of the loss. A diverged run counts as e⁵ times the loss before training."
)
_SHORT_NOTE = (
    "Lower losses are better; a difference above 0 means that the controller did better, with its "
    "95 % interval for new runs on these tasks; P is how often it did, div. how many runs "
    "diverged, runs what one result costs. All opponents ran on the same tasks, with the same "
    "draws."
)
_DETAIL_HEAD = (
    "opponent",
    "IQM",
    "IQM less the controller's",
    "P [new tasks]",
    "log regret",
    "regret 0 to 1",
    "its worst task",
    "regret there",
    "controller's worst task",
    "difference there",
    "spread over starts",
    "AlgoPerf score",
)
_DETAIL_NOTE = (
    "IQM is the mean of the middle half of the runs, which outliers do not move, of losses and of "
    "differences (interval for new runs). Log regret is the log test loss above the lowest of any "
    "opponent, seed and start on the task; regret from 0 to 1 puts the best known at 0 and an "
    "untrained model at 1. The worst task of an opponent has its largest mean regret; the "
    "controller’s worst task is where its difference to this opponent is lowest. The spread over "
    "starts is how far results on one task and seed lie apart because the user started from "
    "another value, 0 for opponents that ignore it. AlgoPerf’s score is explained at the "
    "performance profiles."
)
_OVERVIEW_NOTE = (
    "The mean difference of log test losses to the controller on each suite: above 0 the "
    "controller did better, below 0 it did worse. The last row counts the opponents that it beat "
    "on average."
)
_TRIALS_HEAD = (
    "suite",
    "search",
    "runs",
    "trials needed, median",
    "95 %, new runs",
    "95 %, new tasks",
    "reached within budget",
)
_TRIALS_NOTE = (
    "How many trials a search needs until the trial that validation chose so far is as good on "
    "test rows as the controller’s single run on the same task and seed, counted when it first is. "
    "Median over runs, each start a run of its own. “> 32” says that more than 32 trials "
    "would be needed and 32 were made: no more than that is known. 1 means that half of the time "
    "the first trial was as good."
)
_COST_HEAD = ("opponent", "updates", "seconds in training", "seconds in decisions", "overhead")
_COST_NOTE = (
    "Mean cost of one result over all suites. Training includes validation, and what trains side "
    "by side shares its seconds; decisions are the opponent’s own computing. Overhead is the share "
    "of decisions."
)


def size_of(runs: PairedRuns) -> str:
    """Say how much a suite holds."""
    return f"{len(runs.reference)} runs an opponent, {len(set(runs.keys('task')))} tasks"


def summary_table(runs: PairedRuns, summaries: Sequence[OpponentSummary]) -> Table:
    """Compare every opponent of a suite with the controller, in the order given."""
    return Table(
        head=_SUMMARY_HEAD,
        rows=tuple(_summary_row(summary) for summary in summaries),
        note=f"{size_of(runs)}. {_SUMMARY_NOTE}",
        bold=REFERENCE,
    )


def _summary_row(summary: OpponentSummary) -> tuple[str, ...]:
    against = summary.against
    compared = ("", "", "", "")
    if against is not None:
        probability = against.probability
        compared = (
            format_interval(against.difference.runs),
            interval_alone(against.difference.data_sets),
            f"{probability.value:.2f} {interval_alone(probability.runs, '{:.2f}')}",
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


def short_table(entries: Sequence[Mapping[str, Any]]) -> Table:
    """Show what a terminal of 80 columns holds, and the page of a run.

    Where every opponent trains once, there is no column of runs.

    Args:
        entries: Summaries in plain data, in the order of rows.
    """
    rows = []
    for entry in entries:
        chance, interval = entry["probability_of_improvement"], entry["difference"]
        rows.append(
            (
                entry["opponent"],
                f"{entry.get('runs_spent', 1.0):.3g}",
                format_number(entry["mean_log_test_loss"]),
                "" if interval is None else format_interval(_interval(interval)),
                "" if chance is None else f"{chance:.2f}",
                share(entry["diverged"]),
            )
        )
    head = ("opponent", "runs", "mean log test loss", "less the controller's", "P", "div.")
    table = Table(head=head, rows=tuple(rows), note=_SHORT_NOTE, bold=REFERENCE)
    if any(entry.get("runs_spent", 1.0) > 1.0 for entry in entries):
        return table
    return table.take([name for name in head if name != "runs"])


def _interval(plain: Mapping[str, float | None]) -> Interval:
    return Interval(**{k: float("nan") if v is None else v for k, v in plain.items()})


def detail_table(summaries: Sequence[OpponentSummary], scores: Mapping[str, float]) -> Table:
    """Show middle halves, regrets and worst cases.

    Args:
        summaries: In the order of rows.
        scores: AlgoPerf's score by opponent.
    """
    return Table(
        head=_DETAIL_HEAD,
        rows=tuple(_detail_row(summary, scores[summary.opponent]) for summary in summaries),
        note=_DETAIL_NOTE,
        words=("its worst task", "controller's worst task"),
        bold=REFERENCE,
    )


def _detail_row(summary: OpponentSummary, score: float) -> tuple[str, ...]:
    against, spread = summary.against, summary.rate_spread
    compared, hardest = ("", ""), ("", "")
    if against is not None:
        compared = (
            format_interval(against.iqm_difference.runs),
            interval_alone(against.probability.data_sets, "{:.2f}"),
        )
        hardest = (against.hardest_task, f"{against.hardest_difference:+.3f}")
    return (
        summary.opponent,
        f"{summary.iqm:.3f}",
        *compared,
        f"{summary.log_regret:.3f}",
        f"{summary.normalised_regret:.3f}",
        summary.worst_task,
        f"{summary.worst_regret:.3f}",
        *hardest,
        "–" if math.isnan(spread) else f"{spread:.3f}",
        f"{score:.3f}",
    )


def overview_table(summaries: Mapping[str, Sequence[OpponentSummary]]) -> Table:
    """Show the differences to the controller by opponent and suite.

    Opponents are ordered by their mean difference over suites, the best first; where one has no
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
    return Table(
        head=("opponent", *summaries),
        rows=(*rows, (BEATEN, *better)),
        note=_OVERVIEW_NOTE,
        bold=BEATEN,
    )


def trials_table(found: Sequence[TrialsEquivalent]) -> Table:
    """Show how many trials searches need."""
    rows = [
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
    return Table(head=_TRIALS_HEAD, rows=tuple(rows), note=_TRIALS_NOTE, words=("search",))


def _range(entry: TrialsEquivalent, low: float, high: float) -> str:
    if math.isnan(low) or low == high:
        return entry.words(low)
    return f"{entry.words(low)} to {entry.words(high)}"


def cost_table(costs: Sequence[Cost]) -> Table:
    """Show what results cost."""
    rows = [
        (
            cost.opponent,
            f"{cost.num_updates:,.0f}",
            f"{cost.train_seconds:.3g}",
            f"{cost.overhead_seconds:.3g}",
            f"{100.0 * cost.overhead_share:.1f} %",
        )
        for cost in costs
    ]
    return Table(head=_COST_HEAD, rows=tuple(rows), note=_COST_NOTE, bold=REFERENCE)


def label_table(
    runs: PairedRuns, label: str, summaries: Sequence[OpponentSummary], is_known: IsKnown
) -> Table | None:
    """Show the controller and the best opponent by the value of a label of the tasks.

    The opponent is the same in every row, the one with the lowest mean over all runs, so that no
    row picks its own.

    Args:
        runs: One suite's.
        label: Its name.
        summaries: The best first.
        is_known: What meta-training has seen; a column where it says so of any value.

    Returns:
        A row a value, those that meta-training has seen first; None without an opponent.
    """
    best = next((s.opponent for s in summaries if s.opponent != REFERENCE), None)
    if best is None:
        return None
    column, losses = runs.keys(f"{LABEL}{label}"), runs.values("log_test_loss")
    mine, other = losses[0], losses[runs.opponents.index(best)]
    rows = []
    for value in np.unique(column):
        chosen = column == value
        resamples = Resamples.draw(runs.keys("task")[chosen], runs.keys("unit")[chosen])
        difference = resamples.estimate((other - mine)[chosen]).runs
        numbers = (f"{mine[chosen].mean():.3f}", f"{other[chosen].mean():.3f}")
        seen = {None: "", True: "yes", False: "no"}[is_known(label, str(value))]
        rows.append((str(value), seen, *numbers, format_interval(difference)))
    rows.sort(key=lambda row: row[1] != "yes")
    head = (label, "seen", REFERENCE, "other", "other's less the controller's")
    table = Table(
        title=f"{runs.suite}, by {label}: the controller and the best other opponent, {best}",
        head=head,
        rows=tuple(rows),
        words=("seen",),
    )
    has_seen = any(row[1] for row in rows)
    return table if has_seen else table.take([name for name in head if name != "seen"])


def label_tables(
    runs: PairedRuns, summaries: Sequence[OpponentSummary], is_known: IsKnown
) -> list[Table]:
    """Make a table for each label that the tasks have."""
    names = label_names(runs.reference)
    found = [label_table(runs, name, summaries, is_known) for name in names]
    return [table for table in found if table is not None]


# -------------------------------------------------------------------------------- numbers as words


def format_interval(interval: Interval) -> str:
    """Write an estimate with its interval.

    Example:
        >>> format_interval(Interval(estimate=0.1234, low=-0.01, high=0.3))
        '+0.123 [-0.010, +0.300]'
    """
    if math.isnan(interval.low):
        return f"{interval.estimate:+.3f} [one run only]"
    return f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def interval_alone(interval: Interval, form: str = "{:+.3f}") -> str:
    """Write an interval without its estimate.

    Example:
        >>> interval_alone(Interval(estimate=0.0, low=-0.1, high=0.25))
        '[-0.100, +0.250]'
    """
    if math.isnan(interval.low):
        return "–"
    return f"[{form.format(interval.low)}, {form.format(interval.high)}]"


def format_number(value: float | None) -> str:
    """Write a number with three decimals; none as a dash."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def share(value: float) -> str:
    """Write a share of 0 to 1 as per cent.

    Example:
        >>> share(0.125)
        '12 %'
    """
    return f"{100.0 * value:.0f} %"
