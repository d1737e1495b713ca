"""The outcome of a comparison as tables for a terminal and as JSON.

A loss is reported like a win: the rows are ordered by what was measured and nothing is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.table import Table

from agents.evaluation.comparison import Comparison
from agents.evaluation.protocol import Results
from agents.evaluation.statistics import (
    Interval,
    MethodSummary,
    bootstrap_mean,
    summarize,
)

REFERENCE = "controller"


def comparison_table(results: Mapping[str, Results], *, title: str = "") -> Table:
    """Make the closing table: one row a method, the controller first and then the best first.

    Args:
        results: By method, the controller among them.
        title: What was compared on what.
    """
    summaries = summarize(results, reference=REFERENCE)
    table = Table(title=title or None, caption=_CAPTION, caption_justify="left")
    table.add_column("method", no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for summary in summaries:
        table.add_row(*_row(summary), style="bold" if summary.method == REFERENCE else "")
    return table


_HEADINGS = (
    "mean log\ntest loss",
    "less the controller's\n[95% interval]",
    "P",
    "div.",
)
_CAPTION = (
    "Lower losses are better; a difference above 0 means that the controller did better, P is how "
    "often it did, div. how many runs diverged. All methods ran on the same tasks, initial weights "
    "and minibatches. Interquartile means, worst cases and wins are in the JSON."
)


def _row(summary: MethodSummary) -> tuple[str, ...]:
    probability = summary.probability_of_improvement
    return (
        summary.method,
        f"{summary.mean_log_test_loss:.3f}",
        "" if summary.difference is None else format_interval(summary.difference),
        "" if probability is None else f"{probability:.2f}",
        f"{100.0 * summary.diverged:.0f}%",
    )


def format_interval(interval: Interval) -> str:
    """Write an estimate with its interval.

    Example:
        >>> format_interval(Interval(estimate=0.1234, low=-0.01, high=0.3))
        '+0.123 [-0.010, +0.300]'
    """
    if math.isnan(interval.low):
        return f"{interval.estimate:+.3f} [one run only]"
    return f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def architecture_table(results: Mapping[str, Results]) -> Table | None:
    """Make a table of one row an architecture, with the best opponent over all of them beside.

    Returns:
        The table, whose column "seen" says whether meta-training had the architecture; None where
        the family has no architectures or there is no opponent.
    """
    rows = architecture_rows(results)
    if not rows:
        return None
    title = f"By architecture: the controller and the best other method, {rows[0]['opponent']}"
    table = Table(title=title)
    table.add_column("architecture", no_wrap=True)
    table.add_column("seen")
    for heading in (REFERENCE, "other", "other's less controller's\n[95% interval]"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["architecture"],
            "yes" if row["seen"] else "no",
            f"{row[REFERENCE]:.3f}",
            f"{row['opponent_loss']:.3f}",
            format_interval(Interval(**row["difference"])),
        )
    return table


def architecture_rows(results: Mapping[str, Results]) -> list[dict[str, Any]]:
    """Return mean log test losses by architecture: controller, best opponent, difference.

    The opponent is the same in every row, the one with the lowest mean over all runs, so that no
    row picks its own.
    """
    controller = results[REFERENCE]
    names = np.unique(controller.architectures[controller.architectures != ""])
    if not len(names) or len(results) < 2:
        return []
    best = summarize(results, reference=REFERENCE)[1].method
    rows = []
    for name in names:
        mask = controller.architectures == name
        mine, other = controller.take(mask), results[best].take(mask)
        differences = other.log_test_loss - mine.log_test_loss
        rows.append(
            {
                "architecture": str(name),
                "seen": _is_seen(str(name)),
                "num_runs": len(mine),
                "opponent": best,
                REFERENCE: float(mine.log_test_loss.mean()),
                "opponent_loss": float(other.log_test_loss.mean()),
                "difference": asdict(bootstrap_mean(differences, mine.names, mine.units)),
            }
        )
    return sorted(rows, key=lambda row: (not row["seen"], row["architecture"]))


def _is_seen(architecture_name: str) -> bool:
    from hpo_env.networks.registry import architecture

    return architecture(architecture_name).split == "train"


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Describe a comparison in plain data, every run included, so that all can be recomputed.

    Numbers that are not finite become None, as JSON has none.
    """
    return {
        "plan": _plain(asdict(comparison.plan)),
        "summary": [_plain(asdict(s)) for s in summarize(comparison.results)],
        "architectures": _plain(architecture_rows(comparison.results)),
        "tuned": {name: _plain(asdict(rates)) for name, rates in comparison.tuned.items()},
        "runs": [run for results in comparison.results.values() for run in _runs(results)],
    }


def _runs(results: Results) -> list[dict[str, Any]]:
    columns = {
        "log_test_loss": results.log_test_loss,
        "test_loss": results.test_loss,
        "test_metric": results.test_metric,
        "first_validation_loss": results.first_loss,
        "last_validation_loss": results.last_loss,
        "diverged": results.diverged,
        "seed": results.seeds,
    }
    return [
        {
            "method": results.method,
            "task": _plain(task.to_json()),
            **{name: _plain(values[e].item()) for name, values in columns.items()},
        }
        for e, task in enumerate(results.tasks)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
