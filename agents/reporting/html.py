"""A comparison as one HTML page, without network or script: to share, print, keep."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from agents.analysis import page
from agents.evaluation.statistics import TIE
from agents.reporting import figures, tables
from agents.statistics.aggregate import OpponentSummary, summarise_suite
from agents.statistics.costs import mean_costs
from agents.statistics.pairing import REFERENCE, PairedRuns, pair_runs
from agents.statistics.profiles import (
    ANCHOR,
    TAU_MAX,
    cost_ratios,
    costs_to_target,
    integrated_score,
    targets,
)
from agents.statistics.trials_equivalent import trials_equivalent

_SUMMARY_NOTE = (
    "Rows are ordered by mean log test loss, the best first; the controller stands where it "
    "belongs. All methods ran on the same tasks, initial weights and minibatches. A difference "
    "above 0 means that the controller did better. It has two 95 % intervals, as there are two "
    "questions: “new runs” asks what other seeds on these data sets would give, “new data sets” "
    "what other data sets would give, and draws whole data sets; the few there are make even that "
    "one narrower than it should be. P is how often the controller did better, with its interval "
    "for new runs; wins and losses are by more than "
    f"{100 * TIE:.0f} % of the loss. A diverged run counts as e⁵ times the loss before training."
)
_DETAIL_NOTE = (
    "IQM is the mean of the middle half of the runs, which outliers do not move, of losses and of "
    "differences (interval for new runs). Log regret is the log test loss above the lowest of any "
    "method, seed and initial rate on the task; regret from 0 to 1 puts the best known at 0 and an "
    "untrained model at 1. The worst task of a method has its largest mean regret; the "
    "controller’s worst task is where its difference to this method is lowest. The spread over "
    "rates is how far results on one task and seed lie apart because the user chose another "
    "initial rate, 0 for methods that ignore it. AlgoPerf’s score is explained at the performance "
    "profiles."
)
_REGRET_CAPTION = (
    "Where each method wins and where it loses: mean log regret by task. 0 is the best that any "
    "run reached there; 0.1 is about 10 % more loss. The darkest colour stands for the worst tenth."
)
_ANYTIME_CAPTION = (
    "What is in hand after so much of the budget, mean over runs. Left, within one run: the log "
    "validation loss above the lowest final one on the task; one-run methods are followed while "
    "they train, searches begin where their first trials have ended. Right: log test regret of the "
    "trial that validation chose; what has ended after one run stays as it is. Trials that train "
    "side by side are known when all of them are paid."
)
_PROFILES_CAPTION = (
    "Left: on which share of tasks a method reaches the target validation loss within τ times the "
    "updates of the fastest method there; the target is {target}. A line that stays low "
    f"misses the target. AlgoPerf’s score is the area under it from 1 to {TAU_MAX:g}, over its "
    "width. Right: which share of the runs has a log regret below a value. Higher is better in "
    "both, and a line above another everywhere is better at every tolerance."
)
_SCHEDULES_CAPTION = (
    "What is set for the {} over the course of a run, by the rate that the user started from: "
    "medians over runs, and for the controller a band from the 10 % to the 90 % quantile. Searches "
    "show the run that they return. Lines that start apart and end together do not depend on the "
    "user’s choice."
)
_OVERVIEW_NOTE = (
    "The mean difference of log test losses to the controller on each suite: above 0 the "
    "controller did better, below 0 it did worse. The last row counts the methods that it beat on "
    "average."
)
_TRIALS_NOTE = (
    "How many trials a search needs until the trial that validation chose so far is as good on "
    "test rows as the controller’s single run on the same task and seed, counted when it first is. "
    "Median over runs, each initial rate a run of its own. “> 32” says that more than 32 trials "
    "would be needed and 32 were made: no more than that is known. 1 means that half of the time "
    "the first trial was as good."
)
_COST_NOTE = (
    "Mean cost of one result over all suites. Training includes validation, and what trains side "
    "by side shares its seconds; decisions are the method’s own computing. Overhead is the share "
    "of decisions."
)


def render_comparison(frame: pd.DataFrame, meta: Mapping[str, Any]) -> str:
    """Write the page.

    Args:
        frame: A table of `agents.comparing.records`.
        meta: What is known beside the table, in plain data: `title`, and anything else, which is
            shown as settings at the end.

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
    parts = [page.heading(title, 1), _facts(frame, suites)]
    parts += _overview(summaries)
    with tempfile.TemporaryDirectory() as scratch:
        for runs in suites:
            parts += _suite(runs, summaries[runs.suite], Path(scratch))
    parts += _trials(suites)
    parts.append(page.heading("Cost"))
    rows = tables.cost_rows(mean_costs(frame))
    parts += [page.table(tables.COST_HEAD, rows, bold=REFERENCE), page.note(_COST_NOTE)]
    settings = [(k, v if isinstance(v, str) else json.dumps(v)) for k, v in meta.items()]
    settings = [(key, value) for key, value in settings if key != "title"]
    if settings:
        columns = ("setting", "value")
        parts.append(page.folded("Settings", page.table(columns, settings, words=("value",))))
    return page.document(title, parts, style="main { max-width: 78rem; }\n")


def _facts(frame: pd.DataFrame, suites: Sequence[PairedRuns]) -> str:
    names = sorted({name for runs in suites for name in runs.opponents if name != REFERENCE})
    left_out = sorted({f"{n} on {runs.suite}" for runs in suites for n in runs.left_out})
    num_sets = frame["task"].nunique()
    found = [
        ("suites", ", ".join(runs.suite for runs in suites)),
        ("methods", f"the controller and {len(names)} opponents"),
        ("data sets", f"{num_sets}: {', '.join(sorted(frame['task'].unique()))}"),
        ("runs of the controller", str(sum(len(runs.reference) for runs in suites))),
    ]
    if left_out:
        found.append(("left out, as runs are missing", ", ".join(left_out)))
    return page.facts(found)


def _overview(summaries: Mapping[str, Sequence[OpponentSummary]]) -> list[str]:
    if len(summaries) < 2:
        return []
    head, rows = tables.overview(summaries)
    return [
        page.heading("All suites"),
        page.table(head, rows, bold=tables.BEATEN),
        page.note(_OVERVIEW_NOTE),
    ]


def _suite(runs: PairedRuns, summaries: Sequence[OpponentSummary], folder: Path) -> list[str]:
    prefix = re.sub(r"\W+", "-", runs.suite)
    order, drawn = [s.opponent for s in summaries], figures.drawn_opponents(summaries)
    ratios = cost_ratios(costs_to_target(runs, targets(runs)), runs.tasks)
    scores = dict(zip(runs.opponents, map(float, integrated_score(ratios)), strict=True))
    num_sets = len(set(runs.keys("task")))
    size = f"{len(runs.reference)} runs a method on {num_sets} data sets."
    by_anchor = f"what {ANCHOR!r} ends with on the same task and seed"
    target = by_anchor if ANCHOR in runs.frames else "what the median method ends with"
    details = page.table(
        tables.DETAIL_HEAD,
        tables.detail_rows(summaries, scores),
        bold=REFERENCE,
        words=tables.DETAIL_WORDS,
    )
    parts = [
        page.heading(f"Suite: {runs.suite}"),
        page.table(tables.SUMMARY_HEAD, tables.summary_rows(summaries), bold=REFERENCE),
        page.note(f"{size} {_SUMMARY_NOTE}"),
        page.heading("Middle half, regret and worst cases", 3),
        details,
        page.note(_DETAIL_NOTE),
    ]
    pictures = [
        ("regret", partial(figures.regret_figure, runs, order), _REGRET_CAPTION),
        ("anytime", partial(figures.anytime_figure, runs, drawn), _ANYTIME_CAPTION),
        (
            "profiles",
            partial(figures.profiles_figure, runs, drawn),
            _PROFILES_CAPTION.format(target=target),
        ),
    ]
    knob = _scheduled(runs)
    if knob:
        draw = partial(figures.schedules_figure, runs, drawn, knob)
        caption = _SCHEDULES_CAPTION.format(knob.replace("_", " "))
        pictures.append(("schedules", draw, caption))
    headings = {
        "regret": "Regret by task",
        "anytime": "Anytime performance",
        "profiles": "Performance profiles",
        "schedules": "Learned schedules",
    }
    for name, draw, caption in pictures:
        parts += [
            page.heading(headings[name], 3),
            page.figure(draw, folder, f"{prefix}-{name}", caption),
        ]
    return parts


def _scheduled(runs: PairedRuns) -> str:
    """Name the hyperparameter whose schedules are drawn: the learning rate, or the first."""
    names = list(runs.reference["hyperparameters"].iloc[0])
    return "learning_rate" if "learning_rate" in names else next(iter(names), "")


def _trials(suites: Sequence[PairedRuns]) -> list[str]:
    found = [entry for runs in suites for entry in trials_equivalent(runs)]
    if not found:
        return []
    table = page.table(tables.TRIALS_HEAD, tables.trials_rows(found), words=("search",))
    return [page.heading("Trials-equivalent"), table, page.note(_TRIALS_NOTE)]
