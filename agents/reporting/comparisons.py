"""The report of a comparison: a page to share, Markdown for the README, tables for a terminal."""

from __future__ import annotations

import io
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table as TerminalTable

from hpo_env.axes import Scale
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.whole_files import write_atomically

from ..statistics.aggregate import OpponentSummary, summarise_suite
from ..statistics.costs import mean_costs
from ..statistics.pairing import REFERENCE, PairedRuns, pair_runs
from ..statistics.profiles import (
    ANCHOR,
    TAU_MAX,
    cost_ratios,
    costs_to_target,
    integrated_score,
    targets,
)
from ..statistics.trials_equivalent import trials_equivalent
from . import comparison_tables as contents
from . import figures, page
from .schedules import by_start
from .style import styled
from .tables import facts_table

_REGRET_CAPTION = (
    "Where each opponent wins and where it loses: mean log regret by task. 0 is the best that any "
    "run reached there; 0.1 is about 10 % more loss. The darkest colour stands for the worst tenth."
)
_ANYTIME_CAPTION = (
    "What is in hand after so much of the budget, mean over runs. Left, within one run: the log "
    "validation loss above the lowest final one on the task; who trains once is followed while "
    "training, searches begin where their first trials have ended. Right: log test regret of the "
    "trial that validation chose; what has ended after one run stays as it is. Trials that train "
    "side by side are known when all of them are paid."
)
_PROFILES_CAPTION = (
    "Left: on which share of tasks an opponent reaches the target validation loss within τ times "
    "the updates of the fastest there; the target is {target}. A line that stays low "
    f"misses the target. AlgoPerf’s score is the area under it from 1 to {TAU_MAX:g}, over its "
    "width. Right: which share of the runs has a log regret below a value. Higher is better in "
    "both, and a line above another everywhere is better at every tolerance."
)
SCHEDULES_CAPTION = (
    "What is set for the {} over the course of a run, under the loss that follows: medians over "
    "runs, and for the controller a band from the 10 % to the 90 % quantile."
)
_BY_START = (
    " Panels are by the value that the user started from. Searches show the run that they return. "
    "Lines that start apart and end together do not depend on the user’s choice."
)
_MARKDOWN_NOTE = (
    "Lower losses are better, and rows are ordered by them; a difference above 0 means that the "
    "controller did better. Two 95 % intervals: for new runs on these tasks, and for new "
    "tasks. “Runs spent” is what one result costs, in training runs from start to end."
)
_TRIALS_INTRODUCTION = (
    "Trials that a search needs until its incumbent is as good on test rows as the "
    "controller's single run, median over runs:"
)


def render_comparison(frame: pd.DataFrame, meta: Mapping[str, Any]) -> str:
    """Write the page.

    Args:
        frame: A table of a comparison.
        meta: What is known beside the table, in plain data: `title`, `hyperparameters` as
            `HyperparameterSpace.to_json` describes those that the controller moves, and anything
            else. All but the title is shown as settings at the end.

    Returns:
        The whole HTML document.

    Raises:
        UnknownNameError: The controller is missing in a suite.
        ConfigurationError: A run is there twice, or there are none.
        MissingExtraError: matplotlib is not installed.
    """
    suites = pair_runs(frame)
    summaries = {runs.suite: summarise_suite(runs) for runs in suites}
    title = str(meta.get("title", "Comparison"))
    parts = [page.heading(title, 1), _facts(suites)]
    if len(summaries) > 1:
        parts += [page.heading("All suites"), contents.overview_table(summaries).to_html()]
    with tempfile.TemporaryDirectory() as scratch:
        for runs in suites:
            parts += _suite(runs, summaries[runs.suite], meta, Path(scratch))
    found = [entry for runs in suites for entry in trials_equivalent(runs)]
    if found:
        parts += [page.heading("Trials-equivalent"), contents.trials_table(found).to_html()]
    parts += [page.heading("Cost"), contents.cost_table(mean_costs(frame)).to_html()]
    settings = {name: value for name, value in meta.items() if name != "title"}
    if settings:
        parts.append(page.folded("Settings", facts_table(settings).to_html()))
    return page.document(title, parts, style="main { max-width: 78rem; }\n")


def _facts(suites: Sequence[PairedRuns]) -> str:
    names = {name for runs in suites for name in runs.opponents if name != REFERENCE}
    left_out = sorted({f"{n} on {runs.suite}" for runs in suites for n in runs.left_out})
    tasks = sorted({str(name) for runs in suites for name in runs.keys("task")})
    found = [
        ("suites", ", ".join(runs.suite for runs in suites)),
        ("opponents", f"the controller and {len(names)} others"),
        ("tasks", f"{len(tasks)}: {', '.join(tasks)}"),
        ("runs of the controller", str(sum(len(runs.reference) for runs in suites))),
    ]
    if left_out:
        found.append(("left out, as runs are missing", ", ".join(left_out)))
    return page.facts(found)


def _suite(
    runs: PairedRuns,
    summaries: Sequence[OpponentSummary],
    meta: Mapping[str, Any],
    folder: Path,
) -> list[str]:
    ratios = cost_ratios(costs_to_target(runs, targets(runs)), runs.tasks)
    scores = dict(zip(runs.opponents, map(float, integrated_score(ratios)), strict=True))
    order, drawn = [s.opponent for s in summaries], figures.drawn_opponents(summaries)
    by_anchor = f"what {ANCHOR!r} ends with on the same task and seed"
    target = by_anchor if ANCHOR in runs.frames else "what the median opponent ends with"
    pictures = [
        (
            "Regret by task",
            partial(figures.regret_figure, runs, order, runs.tasks),
            _REGRET_CAPTION,
        ),
        ("Anytime performance", partial(figures.anytime_figure, runs, drawn), _ANYTIME_CAPTION),
        (
            "Performance profiles",
            partial(figures.profiles_figure, runs, drawn),
            _PROFILES_CAPTION.format(target=target),
        ),
    ]
    leading = _leading(runs, meta)
    if leading is not None:
        groups = by_start(runs.keys("start").astype(np.float64))
        caption = SCHEDULES_CAPTION.format(leading[0].replace("_", " ")) + _BY_START
        draw = partial(figures.schedules_figure, runs, drawn, groups, *leading)
        pictures.append(("Learned schedules", draw, caption))
    parts = [
        page.heading(f"Suite: {runs.suite}"),
        contents.summary_table(runs, summaries).to_html(),
        page.heading("Middle half, regret and worst cases", 3),
        contents.detail_table(summaries, scores).to_html(),
    ]
    prefix = re.sub(r"\W+", "-", runs.suite)
    for title, draw, caption in pictures:
        name = f"{prefix}-{title.split()[-1].lower()}"
        parts += [page.heading(title, 3), page.figure(draw, folder, name, caption)]
    return parts


def _leading(runs: PairedRuns, meta: Mapping[str, Any]) -> tuple[str, Scale] | None:
    """Return name and scale of the hyperparameter that the start is of.

    Of what the controller moves it is the first that the base schedule multiplies, or the first.
    """
    if "hyperparameters" in meta:
        moved = HyperparameterSpace.from_json(meta["hyperparameters"]).hyperparameters
        known = next((h for h in moved if h.scheduled), moved[0])
        return known.name, known.scale
    names = list(runs.reference["hyperparameters"].iloc[0])  # of an older comparison
    return (names[0], "log") if names else None


def comparison_markdown(frame: pd.DataFrame) -> str:
    """Write a table a suite, the best opponent first, and one of trials-equivalent.

    Args:
        frame: A table of a comparison.

    Returns:
        Markdown, without headings of its own.

    Raises:
        UnknownNameError: The controller is missing in a suite.
        ConfigurationError: A run is there twice, or there are none.
    """
    parts, found = [_MARKDOWN_NOTE], []
    for runs in pair_runs(frame):
        title = f"**{runs.suite}**: {contents.size_of(runs)}"
        if runs.left_out:
            title += f"; incomplete and left out: {', '.join(runs.left_out)}"
        table = contents.summary_table(runs, summarise_suite(runs))
        parts += [title, table.without("rank").to_markdown()]
        found += trials_equivalent(runs)
    if found:
        parts += [_TRIALS_INTRODUCTION, contents.trials_table(found).to_markdown()]
    return "\n\n".join(parts) + "\n"


def terminal_tables(
    frame: pd.DataFrame, is_known: contents.IsKnown | None = None, *, title: str = ""
) -> list[TerminalTable]:
    """Make the closing tables: a suite each, every opponent against the controller.

    Suites in which the controller has no runs have none.

    Args:
        frame: A table of a comparison.
        is_known: Says which values of labels meta-training has seen; with it there is a table for
            each label of the tasks, too.
        title: What was compared on what; the suite and its size by default.
    """
    tables = []
    for runs in _comparable(frame):
        summaries = summarise_suite(runs)
        missing = f" Incomplete and left out: {', '.join(runs.left_out)}." if runs.left_out else ""
        table = contents.short_table([_summary_json(summary) for summary in summaries])
        head = title or f"{runs.suite}: {contents.size_of(runs)}"
        tables.append(replace(table, title=head, note=table.note + missing))
        if is_known is not None:
            tables += contents.label_tables(runs, summaries, is_known)
    return [table.to_terminal() for table in tables]


def draw_schedules(frame: pd.DataFrame, path: Path, known: Hyperparameter) -> Path:
    """Draw what was set from each start, and the losses that follow, as one picture.

    Args:
        frame: A table of one suite.
        path: File to write, PNG, SVG or PDF by its ending; its folder is made.
        known: The hyperparameter to draw.

    Returns:
        The path.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    (runs,) = pair_runs(frame)
    drawn = figures.drawn_opponents(summarise_suite(runs))
    groups = by_start(runs.keys("start").astype(np.float64))
    path.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        figure = figures.schedules_figure(runs, drawn, groups, known.name, known.scale)
        drawn_as = io.BytesIO()  # a file is written whole, or not at all
        figure.savefig(drawn_as, format=path.suffix[1:] or "png", facecolor="white")
    write_atomically(path, drawn_as.getvalue())
    return path


def summary_json(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Describe every opponent in plain data, the controller first and then the best first.

    Numbers that are not finite become None, as JSON has none.
    """
    entries: list[dict[str, Any]] = []
    for runs in _comparable(frame):
        summaries = summarise_suite(runs)
        summaries.sort(key=lambda s: s.opponent != REFERENCE)
        entries += [plain({"suite": runs.suite, **_summary_json(s)}) for s in summaries]
    return entries


def _summary_json(summary: OpponentSummary) -> dict[str, Any]:
    against = summary.against
    return {
        "opponent": summary.opponent,
        "num_runs": summary.num_runs,
        "runs_spent": summary.runs_spent,
        "mean_log_test_loss": summary.mean,
        "iqm_log_test_loss": summary.iqm,
        "difference": None if against is None else asdict(against.difference.runs),
        "probability_of_improvement": None if against is None else against.probability.value,
        "wins": 0 if against is None else against.wins,
        "ties": summary.num_runs if against is None else against.ties,
        "losses": 0 if against is None else against.losses,
        "worst_task": summary.worst_task if against is None else against.hardest_task,
        "worst_difference": 0.0 if against is None else against.hardest_difference,
        "diverged": summary.diverged,
    }


def _comparable(frame: pd.DataFrame) -> list[PairedRuns]:
    has_reference = frame.loc[frame["opponent"] == REFERENCE, "suite"].unique()
    comparable = frame[frame["suite"].isin(has_reference)]
    return pair_runs(comparable) if len(comparable) else []


def plain(value: Any) -> Any:
    """Return plain data as JSON has it: numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
