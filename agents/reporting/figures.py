"""The pictures, each a function from numbers to a figure.

They are called in our style, by `style.save_figure`.

Axes: `M` opponents, `E` runs, `T` decision intervals, `G` points of an axis, `D` observation
fields, `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.axes import Scale

from ..statistics.aggregate import OpponentSummary
from ..statistics.anytime import anytime_losses, budget_grid
from ..statistics.pairing import REFERENCE, PairedRuns, mean_by
from ..statistics.profiles import (
    TAU_MAX,
    cost_profile,
    cost_ratios,
    costs_to_target,
    score_profile,
    targets,
)
from ..statistics.regret import best_known, log_regret
from .importance import Dependence
from .schedules import Group, log_changes, over_progress, schedules
from .style import BAND, GREY, LINES, MARKERS, PALETTE, new_figure, set_axis

Array = NDArray[np.float64]

MAX_LINES = len(PALETTE)
"""Opponents in one picture: more cannot be told apart."""

_MAX_CELLS_ACROSS = 20  # with more, numbers in cells touch each other
_MAX_COLUMNS = 4
_MAX_FIELDS = 14


def drawn_opponents(summaries: Sequence[OpponentSummary]) -> tuple[str, ...]:
    """Choose the opponents that pictures show: the controller, the best and `default`.

    Half of the others train once, and half are searches, as far as there are any.

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


def _styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Tell lines of these names apart, that of the reference above the others."""
    return {
        name: {
            "color": PALETTE[i % len(PALETTE)],
            "linestyle": LINES[i % len(LINES)],
            "linewidth": 2.6 if name == REFERENCE else 1.6,
            "label": name,
            "zorder": 3 if name == REFERENCE else 2,
        }
        for i, name in enumerate(names)
    }


def _legend(figure: Any, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))


# ----------------------------------------------------------------------------------- a comparison


def regret_figure(runs: PairedRuns, order: Sequence[str], tasks: NDArray[np.str_]) -> Any:
    """Draw the mean log regret of opponents on tasks; darker is worse.

    Args:
        runs: One suite's.
        order: Opponents from the top down.
        tasks: What each run trains, in words `[E]`.
    """
    names, regret = mean_by(log_regret(runs.values("log_test_loss"), tasks), tasks)
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
    costs.set_xlabel("updates to the target, over the fewest of any opponent")
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


def schedules_figure(
    runs: PairedRuns,
    opponents: Sequence[str],
    groups: Sequence[Group],
    name: str,
    scale: Scale,
) -> Any:
    """Draw the loss and, below it, what was set for a hyperparameter, a pair of panels a group.

    Lines are medians over the runs that did not diverge, the band of the controller reaches from
    the 10 % to the 90 % quantile.

    Args:
        runs: One suite's.
        opponents: Whose; those that do not set it have no line below.
        groups: Runs that are drawn together.
        name: The hyperparameter.
        scale: Its scale, and that of the axis.
    """
    columns = len(groups) if len(groups) <= _MAX_COLUMNS else 3
    rows = -(-len(groups) // columns)
    figure = new_figure(3.1 * max(columns, 2) + 0.6, 4.6 * rows + 0.5)
    grid = figure.subplots(2 * rows, columns, squeeze=False, sharex=True)
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        losses, values = grid[2 * row, column], grid[2 * row + 1, column]
        if place >= len(groups):
            losses.set_axis_off()
            values.set_axis_off()
            continue
        if place > 0:
            values.sharey(grid[1, 0])  # before anything is drawn, so that its range holds all
        group = groups[place]
        changes = {o: log_changes(runs, o, group.rows) for o in opponents}
        _draw_over_progress(losses, changes)
        _draw_over_progress(values, {o: schedules(runs, o, name, group.rows) for o in opponents})
        losses.axhline(0.0, color=GREY, linewidth=0.8)
        set_axis(values, scale)
        losses.set_title(group.label)
        if column == 0:
            losses.set_ylabel("log validation loss\nsince the start")
            values.set_ylabel(name.replace("_", " "))
        if place + columns >= len(groups):
            values.set_xlabel("progress of the run")
            values.xaxis.set_tick_params(labelbottom=True)
    _legend(figure, grid[0, 0])
    return figure


def _draw_over_progress(axes: Any, by_opponent: Mapping[str, Array]) -> None:
    """Draw medians of curves `[E, T]`; one without any keeps its entry in the legend."""
    for opponent, style in _styles(list(by_opponent)).items():
        curves = by_opponent[opponent]
        if not len(curves):
            axes.plot([], [], **style)
            continue
        low, median, high = np.quantile(over_progress(curves), BAND, axis=0)
        progress = (np.arange(len(median)) + 0.5) / len(median)
        axes.plot(progress, median, **style)
        if opponent == REFERENCE:
            colour = style["color"]
            axes.fill_between(progress, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlim(0.0, 1.0)
    axes.grid(visible=True)


# --------------------------------------------------------------------------------------- a policy


def importance_figure(importance: Array, fields: Sequence[str], names: Sequence[str]) -> Any:
    """Draw how far actions change when a field is shuffled, the strongest fields first.

    Args:
        importance: `[D, H]`.
        fields: D names.
        names: H names.
    """
    order = np.argsort(-importance.sum(axis=1), kind="stable")[:_MAX_FIELDS]
    figure = new_figure(7.0, 1.4 + 0.3 * len(order))
    axes = figure.subplots()
    left = np.zeros(len(order))
    for h, name in enumerate(names):
        widths = importance[order, h]
        axes.barh(range(len(order)), widths, left=left, color=PALETTE[h % len(PALETTE)], label=name)
        left += widths
    axes.set_yticks(range(len(order)), [fields[place] for place in order])
    axes.invert_yaxis()
    axes.set_xlabel("mean absolute change of the action when the field is shuffled")
    axes.grid(visible=True, axis="x")
    if len(names) > 1:
        axes.legend()
    return figure


def dependence_figure(dependences: Sequence[Dependence], names: Sequence[str]) -> Any:
    """Draw the mean action as a function of single fields; grey is where most observations lie."""
    columns = min(3, len(dependences))
    rows = -(-len(dependences) // columns)
    figure = new_figure(3.2 * columns + 0.6, 2.5 * rows + 0.5)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(dependences):
            axes.set_axis_off()
            continue
        shown = dependences[place]
        axes.axvspan(shown.low, shown.high, color=GREY, alpha=0.15, linewidth=0)
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        for h, style in enumerate(_styles(names).values()):
            axes.plot(shown.points, shown.actions[:, h], **style)
        axes.set_xlabel(shown.field)
        axes.grid(visible=True)
        if place % columns == 0:
            axes.set_ylabel("mean action")
    _legend(figure, grid[0, 0])
    return figure


def map_figure(plane: Array, gain: Array, names: NDArray[np.str_]) -> Any:
    """Draw tasks as points: alike in training where near, coloured by gain, shaped by name.

    Args:
        plane: `[E, 2]`.
        gain: What the controller adds `[E]`, log loss.
        names: Of the task `[E]`.
    """
    figure = new_figure(7.0, 5.2)
    axes = figure.subplots()
    top = max(float(np.quantile(np.abs(gain), 0.95)), 1e-3)
    kinds = list(dict.fromkeys(names.tolist()))
    look: Any = {"cmap": "PuOr", "vmin": -top, "vmax": top, "edgecolors": "#666666"}
    for i, kind in enumerate(kinds):
        rows, marker = names == kind, MARKERS[i % len(MARKERS)]
        points = plane[rows].T
        image = axes.scatter(
            *points, c=gain[rows], marker=marker, label=kind, linewidths=0.6, **look
        )
    figure.colorbar(image, ax=axes, label="gain over the base schedule, log loss")
    if 1 < len(kinds) <= len(MARKERS):
        axes.legend(fontsize="small")
    axes.set_xlabel("first principal component of the telemetry")
    axes.set_ylabel("second")
    return figure
