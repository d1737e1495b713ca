"""A comparison as Markdown, for the README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from agents.reporting.tables import SUMMARY_HEAD, TRIALS_HEAD, summary_rows, trials_rows
from agents.statistics.aggregate import OpponentSummary, summarise_suite
from agents.statistics.pairing import REFERENCE, pair_runs
from agents.statistics.trials_equivalent import trials_equivalent

_COLUMNS = (
    "method",
    "runs spent",
    "mean log test loss",
    "less the controller's [new runs]",
    "[new data sets]",
    "P(controller better)",
    "wins / ties / losses",
    "diverged",
)
_NOTE = (
    "Lower losses are better, and rows are ordered by them; a difference above 0 means that the "
    "controller did better. Two 95 % intervals: for new runs on these data sets, and for new data "
    "sets. “Runs spent” is what one result costs, in training runs from start to end."
)


def comparison_markdown(frame: pd.DataFrame) -> str:
    """Write a table a suite, the best method first, and one of trials-equivalent.

    Args:
        frame: A table of `agents.comparing.records`.

    Returns:
        Markdown, without headings of its own.

    Raises:
        UnknownNameError: The controller is missing in a suite.
        ConfigurationError: A run is there twice, or there are none.
    """
    parts, found = [_NOTE], []
    for runs in pair_runs(frame):
        num_sets = len(set(runs.keys("task")))
        title = f"**{runs.suite}**: {len(runs.reference)} runs a method, {num_sets} data sets"
        if runs.left_out:
            title += f"; incomplete and left out: {', '.join(runs.left_out)}"
        parts += [title, _summary_table(summarise_suite(runs))]
        found += trials_equivalent(runs)
    if found:
        parts += [
            "Trials that a search needs until its incumbent is as good on test rows as the "
            "controller's single run, median over runs:",
            _markdown(TRIALS_HEAD, trials_rows(found)),
        ]
    return "\n\n".join(parts) + "\n"


def _summary_table(summaries: Sequence[OpponentSummary]) -> str:
    chosen = [SUMMARY_HEAD.index(name) for name in _COLUMNS]
    rows = [[row[i] for i in chosen] for row in summary_rows(summaries)]
    return _markdown(_COLUMNS, [_bold(row) if row[0] == REFERENCE else row for row in rows])


def _bold(row: Sequence[str]) -> list[str]:
    return [f"**{cell}**" if cell else "" for cell in row]


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
