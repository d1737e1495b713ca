"""The tables of a comparison: for the page, the README and a terminal alike.

A loss is reported like a win: rows are ordered by what was measured and nothing is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..comparing.records import LABEL, label_names
from ..statistics.aggregate import OpponentSummary
from ..statistics.costs import Cost
from ..statistics.intervals import TIE, Interval
from ..statistics.pairing import REFERENCE, PairedRuns
from ..statistics.resampling import Resamples
from ..statistics.trials_equivalent import TrialsEquivalent
from .tables import Table

IsKnown = Callable[[str, str], bool | None]
"""Says whether meta-training has tasks whose label of a name has a value; None: not known."""

BEATEN = "beaten on average"
"""The last row of an overview."""

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
    "diverged. All opponents ran on the same tasks, with the same draws."
)
_COLUMN_OF_RUNS = " Runs is how many trainings one result costs."
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
_TRIALS_NOTE = (
    "How many trials a search needs until the trial that validation chose so far is as good on "
    "test rows as the controller’s single run on the same task and seed, counted when it first is. "
    "Median over runs, each start a run of its own. “> 32” says that more than 32 trials "
    "would be needed and 32 were made: no more than that is known. 1 means that half of the time "
    "the first trial was as good."
)
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
    rows = [_summary_row(summary) for summary in summaries]
    return Table.of(rows, note=f"{size_of(runs)}. {_SUMMARY_NOTE}", bold=REFERENCE)


def _summary_row(summary: OpponentSummary) -> dict[str, str]:
    against = summary.against
    difference, sets, probability, wins = "", "", "", ""
    if against is not None:
        difference = format_interval(against.difference.runs)
        sets = interval_alone(against.difference.data_sets)
        chance = against.probability
        probability = f"{chance.value:.2f} {interval_alone(chance.runs, '{:.2f}')}"
        wins = f"{against.wins} / {against.ties} / {against.losses}"
    return {
        "opponent": summary.opponent,
        "runs spent": f"{summary.runs_spent:.3g}",
        "mean log test loss": f"{summary.mean:.3f}",
        "less the controller's [new runs]": difference,
        "[new tasks]": sets,
        "P(controller better)": probability,
        "wins / ties / losses": wins,
        "rank": f"{summary.rank:.1f}",
        "diverged": share(summary.diverged),
    }


def short_table(entries: Sequence[Mapping[str, Any]]) -> Table:
    """Show what a terminal of 80 columns holds, and the page of a run.

    Where every opponent trains once, there is no column of runs.

    Args:
        entries: Summaries in plain data, in the order of rows.
    """
    has_searches = any(entry.get("runs_spent", 1.0) > 1.0 for entry in entries)
    note = _SHORT_NOTE + (_COLUMN_OF_RUNS if has_searches else "")
    table = Table.of([_short_row(entry) for entry in entries], note=note, bold=REFERENCE)
    return table if has_searches else table.without("runs")


def _short_row(entry: Mapping[str, Any]) -> dict[str, str]:
    chance, interval = entry["probability_of_improvement"], entry["difference"]
    return {
        "opponent": entry["opponent"],
        "runs": f"{entry.get('runs_spent', 1.0):.3g}",
        "mean log test loss": format_number(entry["mean_log_test_loss"]),
        "less the controller's": "" if interval is None else format_interval(_interval(interval)),
        "P": "" if chance is None else f"{chance:.2f}",
        "div.": share(entry["diverged"]),
    }


def _interval(plain: Mapping[str, float | None]) -> Interval:
    return Interval(**{k: float("nan") if v is None else v for k, v in plain.items()})


def detail_table(summaries: Sequence[OpponentSummary], scores: Mapping[str, float]) -> Table:
    """Show middle halves, regrets and worst cases.

    Args:
        summaries: In the order of rows.
        scores: AlgoPerf's score by opponent.
    """
    words = ("its worst task", "controller's worst task")
    rows = [_detail_row(summary, scores[summary.opponent]) for summary in summaries]
    return Table.of(rows, note=_DETAIL_NOTE, words=words, bold=REFERENCE)


def _detail_row(summary: OpponentSummary, score: float) -> dict[str, str]:
    against, spread = summary.against, summary.rate_spread
    middle, sets, hardest, there = "", "", "", ""
    if against is not None:
        middle = format_interval(against.iqm_difference.runs)
        sets = interval_alone(against.probability.data_sets, "{:.2f}")
        hardest, there = against.hardest_task, f"{against.hardest_difference:+.3f}"
    return {
        "opponent": summary.opponent,
        "IQM": f"{summary.iqm:.3f}",
        "IQM less the controller's": middle,
        "P [new tasks]": sets,
        "log regret": f"{summary.log_regret:.3f}",
        "regret 0 to 1": f"{summary.normalised_regret:.3f}",
        "its worst task": summary.worst_task,
        "regret there": f"{summary.worst_regret:.3f}",
        "controller's worst task": hardest,
        "difference there": there,
        "spread over starts": format_number(spread),
        "AlgoPerf score": f"{score:.3f}",
    }


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
            if entry.against is not None:
                cells.setdefault(entry.opponent, {})[suite] = entry.against.difference.value
    order = sorted(cells, key=lambda name: sum(cells[name].values()) / len(cells[name]))
    rows = [
        {"opponent": name}
        | {s: f"{cells[name][s]:+.3f}" if s in cells[name] else "" for s in summaries}
        for name in order
    ]
    found = {s: [x[s] for x in cells.values() if s in x] for s in summaries}
    better = {s: f"{sum(d > 0.0 for d in found[s])} of {len(found[s])}" for s in summaries}
    return Table.of([*rows, {"opponent": BEATEN, **better}], note=_OVERVIEW_NOTE, bold=BEATEN)


def trials_table(found: Sequence[TrialsEquivalent]) -> Table:
    """Show how many trials searches need."""
    rows = [
        {
            "suite": entry.suite,
            "search": entry.search,
            "runs": str(entry.num_runs),
            "trials needed, median": entry.words(entry.median.value),
            "95 %, new runs": _range(entry, entry.median.runs),
            "95 %, new tasks": _range(entry, entry.median.data_sets),
            "reached within budget": f"{share(entry.reached)} within {entry.budget}",
        }
        for entry in found
    ]
    return Table.of(rows, note=_TRIALS_NOTE, words=("search",))


def _range(entry: TrialsEquivalent, ends: Interval) -> str:
    if math.isnan(ends.low) or ends.low == ends.high:
        return entry.words(ends.low)
    return f"{entry.words(ends.low)} to {entry.words(ends.high)}"


def cost_table(costs: Sequence[Cost]) -> Table:
    """Show what results cost."""
    rows = [
        {
            "opponent": cost.opponent,
            "updates": f"{cost.num_updates:,.0f}",
            "seconds in training": f"{cost.train_seconds:.3g}",
            "seconds in decisions": f"{cost.overhead_seconds:.3g}",
            "overhead": f"{100.0 * cost.overhead_share:.1f} %",
        }
        for cost in costs
    ]
    return Table.of(rows, note=_COST_NOTE, bold=REFERENCE)


def label_tables(
    runs: PairedRuns, summaries: Sequence[OpponentSummary], is_known: IsKnown
) -> list[Table]:
    """Show the controller and the best opponent by the value of each label of the tasks.

    The opponent is the same everywhere, the one with the lowest mean over all runs, so that no row
    picks its own.

    Args:
        runs: One suite's.
        summaries: The best first.
        is_known: What meta-training has seen; a column where it says so of any value.

    Returns:
        A table a label, a row a value, those that meta-training has seen first; none without an
        opponent.
    """
    best = next((s.opponent for s in summaries if s.opponent != REFERENCE), None)
    if best is None:
        return []
    tables = []
    for label in label_names(runs.reference):
        values = np.unique(runs.keys(f"{LABEL}{label}"))
        known = {value: is_known(label, str(value)) for value in values}
        order = [*(v for v in values if known[v]), *(v for v in values if not known[v])]
        rows = [_label_row(runs, label, value, best, known[value]) for value in order]
        title = f"{runs.suite}, by {label}: the controller and the best other opponent, {best}"
        table = Table.of(rows, title=title, words=("seen",))
        tables.append(table if any(row["seen"] for row in rows) else table.without("seen"))
    return tables


def _label_row(
    runs: PairedRuns, label: str, value: str, best: str, is_known: bool | None
) -> dict[str, str]:
    chosen = runs.keys(f"{LABEL}{label}") == value
    losses = runs.values("log_test_loss")[:, chosen]
    mine, other = losses[0], losses[runs.opponents.index(best)]
    resamples = Resamples.draw(runs.keys("task")[chosen], runs.keys("unit")[chosen])
    return {
        label: value,
        "seen": {None: "", True: "yes", False: "no"}[is_known],
        "the controller": f"{mine.mean():.3f}",
        "other": f"{other.mean():.3f}",
        "other's less the controller's": format_interval(resamples.estimate(other - mine).runs),
    }


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
