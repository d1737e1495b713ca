"""The pictures of a comparison, each a function from paired runs to a figure.

They are called in our style, by `agents.analysis.style.save_figure`.

Axes: `M` opponents, `E` runs, `G` points of an axis, `T` decision intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.analysis.style import LINES, PALETTE, new_figure
from agents.evaluation.figures import over_progress
from agents.evaluation.regret import best_known, log_regret
from agents.statistics.aggregate import OpponentSummary
from agents.statistics.anytime import anytime_losses, budget_grid
from agents.statistics.pairing import REFERENCE, PairedRuns, mean_by
from agents.statistics.profiles import (
    TAU_MAX,
    cost_profile,
    cost_ratios,
    costs_to_target,
    score_profile,
    targets,
)

Array = NDArray[np.float64]

MAX_LINES = len(PALETTE)
"""Methods in one picture: more cannot be told apart."""

_MAX_PANELS = 4
_BAND = (0.1, 0.5, 0.9)
_MAX_CELLS_ACROSS = 20  # with more, numbers in cells touch each other
_GREY = "#888888"


def drawn_opponents(summaries: Sequence[OpponentSummary]) -> tuple[str, ...]:
    """Choose the methods that pictures show: the controller, the best and `default`.

    Half of the others are one-run methods, and half are searches, as far as there are any.

    Args:
        summaries: The best first.

    Returns:
        At most `MAX_LINES` names, the controller first.
    """
    others = [s for s in summaries if s.opponent not in (REFERENCE, "default")]
    one_run = [s.opponent for s in others if s.runs_spent <= 1.0]
    searches = [s.opponent for s in others if s.runs_spent > 1.0]
    has_default = any(s.opponent == "default" for s in summaries)
    chosen = [REFERENCE, "default"] if has_default else [REFERENCE]
    half = (MAX_LINES - len(chosen) + 1) // 2
    first = one_run[: max(half, MAX_LINES - len(chosen) - len(searches))]
    return tuple([*chosen, *first, *searches][:MAX_LINES])


def _styles(opponents: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "color": PALETTE[i],
            "linestyle": LINES[i % len(LINES)],
            "linewidth": 2.6 if name == REFERENCE else 1.6,
            "label": name,
            "zorder": 3 if name == REFERENCE else 2,
        }
        for i, name in enumerate(opponents)
    }


def _legend(figure: Any, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))


def regret_figure(runs: PairedRuns, order: Sequence[str]) -> Any:
    """Draw the mean log regret of methods on tasks; darker is worse.

    Args:
        runs: One suite's.
        order: Methods from the top down.
    """
    losses, tasks = runs.values("log_test_loss"), runs.tasks
    names, regret = mean_by(log_regret(losses, tasks), tasks)
    regret = regret[[runs.opponents.index(name) for name in order]]
    figure = new_figure(float(np.clip(3.0 + 0.62 * len(names), 5.5, 16.0)), 2.2 + 0.29 * len(order))
    axes = figure.subplots()
    top = max(float(np.quantile(regret, 0.9)), 0.05)
    image = axes.imshow(regret, cmap="cividis_r", vmin=0.0, vmax=top, aspect="auto")
    if len(names) <= _MAX_CELLS_ACROSS:
        for (row, column), value in np.ndenumerate(regret):
            colour = "white" if value > 0.55 * top else "black"
            text = f"{value:.2f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize="small")
    axes.set_yticks(range(len(order)), order, fontsize="small")
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == REFERENCE else "normal")
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="mean log regret", extend="max")
    return figure


def anytime_figure(runs: PairedRuns, opponents: Sequence[str]) -> Any:
    """Draw what is in hand against what is spent: within one run, and from one run on.

    Left: log validation loss above the lowest final one on the task. Right: log test regret. Means
    over runs; a line begins where something is known in every run.
    """
    styles, tasks = _styles(opponents), runs.tasks
    grid = budget_grid(max(1.0, float(runs.runs_spent.max())))
    figure = new_figure(9.4, 4.2)
    within, beyond = figure.subplots(1, 2)
    panels = (
        (within, "validation", "log_last_loss", grid[grid <= 1.0]),
        (beyond, "test", "log_test_loss", grid[grid >= 1.0]),
    )
    for axes, measure, column, budgets in panels:
        best = best_known(runs.values(column), tasks)
        losses = anytime_losses(runs, budgets, measure=measure)  # type: ignore[arg-type]
        for name in opponents:
            axes.plot(budgets, (losses[name] - best[:, None]).mean(axis=0), **styles[name])
        axes.grid(visible=True)
        axes.set_xlabel("budget, in runs")
    within.set_xlim(0.0, 1.0)
    within.set_ylabel("log validation loss above the best")
    beyond.set_ylabel("log test regret")
    if grid[-1] > 1.0:
        _logarithmic_runs(beyond, float(grid[-1]))
    _legend(figure, within)
    return figure


def _logarithmic_runs(axes: Any, max_runs: float) -> None:
    axes.set_xscale("log", base=2)
    ticks = 2.0 ** np.arange(int(np.log2(max_runs)) + 1)
    axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(1.0, max_runs)


def profiles_figure(runs: PairedRuns, opponents: Sequence[str]) -> Any:
    """Draw performance profiles: costs to the target, and regrets of runs."""
    styles, tasks = _styles(opponents), runs.tasks
    ratios = cost_ratios(costs_to_target(runs, targets(runs)), tasks)
    regret = log_regret(runs.values("log_test_loss"), tasks)
    taus, thresholds = np.linspace(1.0, TAU_MAX, 301), np.geomspace(1e-3, 3.0, 200)
    by_cost, by_score = cost_profile(ratios, taus), score_profile(-regret, -thresholds)
    figure = new_figure(9.4, 4.2)
    costs, scores = figure.subplots(1, 2, sharey=True)
    for name in opponents:
        m = runs.opponents.index(name)
        costs.plot(taus, by_cost[m], drawstyle="steps-post", **styles[name])
        scores.plot(thresholds, by_score[m], **styles[name])
    costs.set_xlabel("updates to the target, over the fewest of any method")
    costs.set_ylabel("share of tasks")
    costs.set_xlim(1.0, TAU_MAX)
    scores.set_xscale("log")
    scores.minorticks_off()
    scores.set_xlim(thresholds[0], thresholds[-1])
    scores.set_xlabel("log regret")
    scores.set_ylabel("share of runs below")
    scores.yaxis.set_tick_params(labelleft=True)
    for axes in (costs, scores):
        axes.set_ylim(-0.02, 1.04)
        axes.grid(visible=True)
    _legend(figure, costs)
    return figure


def schedules_figure(runs: PairedRuns, opponents: Sequence[str], name: str) -> Any:
    """Draw what was set for a hyperparameter over the course of runs, by initial rate.

    Lines are medians over the runs that did not diverge, the band of the controller reaches from
    the 10 % to the 90 % quantile.

    Args:
        runs: One suite's.
        opponents: Whose; those that do not set it are left out.
        name: The hyperparameter.
    """
    groups = _rate_groups(runs.keys("start"))
    figure = new_figure(3.1 * max(len(groups), 2) + 0.6, 3.9)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axes, (label, rows) in zip(panels, groups, strict=True):
        for opponent, style in _styles(opponents).items():
            curves = schedules(runs, opponent, name, rows)
            if not len(curves):
                axes.plot([], [], **style)
                continue
            low, median, high = np.quantile(over_progress(curves), _BAND, axis=0)
            progress = (np.arange(len(median)) + 0.5) / len(median)
            axes.plot(progress, median, **style)
            if opponent == REFERENCE:
                colour = style["color"]
                axes.fill_between(progress, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set_title(label)
        axes.set_xlabel("progress of the run")
        axes.set_xlim(0.0, 1.0)
        if any((line.get_ydata() > 0.0).any() for line in axes.lines if len(line.get_ydata())):
            axes.set_yscale("log")  # which matplotlib cannot do without a positive value
        axes.minorticks_off()
        axes.grid(visible=True)
    panels[0].set_ylabel(name.replace("_", " "))
    _legend(figure, panels[0])
    return figure


def schedules(
    runs: PairedRuns, opponent: str, name: str, rows: NDArray[np.bool_] | None = None
) -> Array:
    """Return effective values of a hyperparameter in runs that did not diverge `[E, T]`.

    Shorter runs end in NaN.

    Args:
        runs: One suite's.
        opponent: Whose.
        name: The hyperparameter; without it there are no rows.
        rows: Which runs to look at `[E]`; all by default.
    """
    frame = runs.frames[opponent]
    kept = ~frame["diverged"].to_numpy(bool)
    frame = frame[kept if rows is None else kept & rows]
    found = [values.get(name) for values in frame["hyperparameters"]]
    curves = [np.asarray(curve, dtype=np.float64) for curve in found if curve is not None]
    width = max((len(curve) for curve in curves), default=0)
    padded = [np.pad(c, (0, width - len(c)), constant_values=np.nan) for c in curves]
    return np.array(padded).reshape(len(curves), width)


def _rate_groups(rates: Array) -> list[tuple[str, NDArray[np.bool_]]]:
    """Group runs by initial rate; by third where every task drew its own."""
    values = np.unique(rates)
    if len(values) <= _MAX_PANELS:
        return [(f"from {value:g}", rates == value) for value in values]
    edges = np.quantile(rates, [1 / 3, 2 / 3])
    third = np.searchsorted(edges, rates)
    names = ("from low rates", "from middling rates", "from high rates")
    return [(names[k], third == k) for k in range(3) if (third == k).any()]
