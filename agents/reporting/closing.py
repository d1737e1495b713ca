"""What a comparison says at its end: a table a suite for a terminal, and the same in plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from rich.table import Table

from agents.evaluation.report import format_interval
from agents.statistics.aggregate import OpponentSummary, summarise_suite
from agents.statistics.pairing import REFERENCE, pair_runs

_HEADINGS = ("runs", "mean log\ntest loss", "less the controller's\n[95% interval]", "P")
_CAPTION = (
    "Lower losses are better; a difference above 0 means that the controller did better, for new "
    "runs on these data sets, and P is how often it did. Runs is what one result costs."
)


def summary_tables(frame: pd.DataFrame, *, title: str = "") -> list[Table]:
    """Make the closing tables: a suite each, every opponent against the controller.

    Args:
        frame: A table, see `agents/comparing/records.py`.
        title: Of the tables; the suite and its size by default.

    Suites in which the controller has no runs have none.
    """
    has_reference = frame.loc[frame["opponent"] == REFERENCE, "suite"].unique()
    comparable = frame[frame["suite"].isin(has_reference)]
    if not len(comparable):
        return []
    return [
        _table(
            title
            or f"{runs.suite}: {len(runs.reference)} runs an opponent, "
            f"{len(set(runs.keys('task')))} names of tasks",
            summarise_suite(runs),
            runs.left_out,
        )
        for runs in pair_runs(comparable)
    ]


def _table(title: str, summaries: Sequence[OpponentSummary], left_out: Sequence[str]) -> Table:
    missing = f" Incomplete and left out: {', '.join(left_out)}." if left_out else ""
    table = Table(title=title, caption=_CAPTION + missing, caption_justify="left")
    table.add_column("opponent", no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for summary in summaries:
        against = summary.against
        table.add_row(
            summary.opponent,
            f"{summary.runs_spent:.3g}",
            f"{summary.mean:.3f}",
            "" if against is None else format_interval(against.difference.runs),
            "" if against is None else f"{against.probability.value:.2f}",
            style="bold" if against is None else "",
        )
    return table


def summary_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the summary of every opponent and suite as plain data; not finite becomes None."""
    return [
        {"suite": runs.suite, **_plain(asdict(summary))}
        for runs in pair_runs(frame)
        for summary in summarise_suite(runs)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
