"""The pictures of the closing analysis, each a function from numbers to a figure.

They are called in our style, by `style.save_figure`.

Axes: `E` runs, `T` decision intervals, `D` observation fields, `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.analysis.importance import Dependence
from agents.analysis.regret import Regret, ordered
from agents.analysis.style import LINES, MARKERS, PALETTE, new_figure
from agents.evaluation.figures import over_progress
from agents.evaluation.protocol import Results
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace

Array = NDArray[np.float64]

BAND = (0.1, 0.5, 0.9)
_MAX_TASKS = 6
_COLUMNS = 3
_MAX_METHODS = 4
_DRAWN_FIRST = ("controller", "initial", "cosine_tuned")
_MAX_FIELDS = 14
_LOGARITHMIC = ("log", "log_integer")


def schedules_figure(
    results: Mapping[str, Results], groups: NDArray[np.str_], space: HyperparameterSpace, name: str
) -> Any:
    """Draw the loss and, below it, what was set for one hyperparameter, a pair a held-out task.

    Lines are medians over the task's runs, bands reach from the 10 % to the 90 % quantile. Runs
    that diverged are left out.

    Args:
        results: By method. Four are drawn: the controller, its base schedule and the tuned cosine
            before others.
        groups: Which task each run belongs to `[E]`; the first six are drawn.
        space: All hyperparameters of the family.
        name: The hyperparameter.
    """
    labels = ordered(groups)[:_MAX_TASKS]
    columns = min(_COLUMNS, len(labels))
    rows = -(-len(labels) // columns)
    figure = new_figure(3.4 * columns + 0.6, 4.2 * rows)
    grid = figure.subplots(2 * rows, columns, sharex=True, squeeze=False)
    known = space.hyperparameters[space.index(name)]
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        pair = grid[2 * row, column], grid[2 * row + 1, column]
        if place >= len(labels):
            for axes in pair:
                axes.set_axis_off()
            continue
        _draw_task(pair, results, groups == labels[place], known)
        pair[0].set_title(labels[place])
        if column == 0:
            pair[0].set_ylabel("log validation loss\nsince the start")
            pair[1].set_ylabel(name.replace("_", " "))
        if row == rows - 1:
            pair[1].set_xlabel("progress of the run")
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)))
    return figure


def _draw_task(
    pair: tuple[Any, Any], results: Mapping[str, Results], rows: Any, known: Hyperparameter
) -> None:
    losses, values = pair
    for i, method in enumerate(_drawn_methods(results)):
        runs = results[method].take(rows)
        finished = runs.take(~runs.diverged)
        style = {"color": PALETTE[i], "linestyle": LINES[i % len(LINES)]}
        if not len(finished):
            losses.plot([], [], label=method, **style)
            continue
        change = loss_change(finished)
        for axes, curves in ((losses, change), (values, finished.hyperparameters[known.name])):
            low, median, high = np.quantile(over_progress(curves), BAND, axis=0)
            progress = (np.arange(len(median)) + 0.5) / len(median)
            axes.plot(progress, median, label=method, **style)
            axes.fill_between(progress, low, high, color=PALETTE[i], alpha=0.15, linewidth=0)
    if known.scale in _LOGARITHMIC:
        values.set_yscale("log")
    losses.axhline(0.0, color="#888888", linewidth=0.8)
    for axes in pair:
        axes.minorticks_off()  # they take most of the drawing's time
        axes.grid(visible=True)
        axes.set_xlim(0.0, 1.0)


def _drawn_methods(results: Mapping[str, Results]) -> list[str]:
    """Choose the methods that are drawn: more than four cannot be told apart."""
    first = [name for name in _DRAWN_FIRST if name in results]
    return [*first, *(name for name in results if name not in first)][:_MAX_METHODS]


def loss_change(results: Results) -> Array:
    """Return the log validation loss less that at the start `[E, T]`."""
    losses = np.maximum(results.validation_loss, 1e-30)
    return np.log(losses / np.maximum(results.first_loss, 1e-30)[:, None])


def regret_figure(regret: Regret) -> Any:
    """Draw how far each method is behind the best on each task; darker is worse."""
    tasks, methods = regret.tasks, regret.methods
    figure = new_figure(2.6 + 0.95 * len(methods), 1.8 + 0.34 * len(tasks))
    axes = figure.subplots()
    top = max(float(np.quantile(regret.values, 0.95)), 0.05)
    image = axes.imshow(regret.values, cmap="cividis_r", vmin=0.0, vmax=top, aspect="auto")
    for row, column in np.ndindex(regret.values.shape):
        value = regret.values[row, column]
        colour = "white" if value > 0.55 * top else "black"
        axes.text(
            column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize="small"
        )
    axes.set_xticks(range(len(methods)), methods, rotation=35, ha="right")
    axes.set_yticks(range(len(tasks)), tasks)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="log test loss above the best method's")
    return figure


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
    columns = min(_COLUMNS, len(dependences))
    rows = -(-len(dependences) // columns)
    figure = new_figure(3.2 * columns + 0.6, 2.5 * rows + 0.5)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(dependences):
            axes.set_axis_off()
            continue
        shown = dependences[place]
        axes.axvspan(shown.low, shown.high, color="#888888", alpha=0.15, linewidth=0)
        axes.axhline(0.0, color="#888888", linewidth=0.8)
        for h, name in enumerate(names):
            style = {"color": PALETTE[h % len(PALETTE)], "linestyle": LINES[h % len(LINES)]}
            axes.plot(shown.points, shown.actions[:, h], label=name, **style)
        axes.set_xlabel(shown.field)
        axes.grid(visible=True)
        if place % columns == 0:
            axes.set_ylabel("mean action")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return figure


def map_figure(plane: Array, gain: Array, names: NDArray[np.str_]) -> Any:
    """Draw tasks as points: alike in training where near, coloured by gain, shaped by name.

    Args:
        plane: `[E, 2]`.
        gain: What the controller adds `[E]`, log loss.
        names: Of the data set `[E]`.
    """
    figure = new_figure(7.0, 5.2)
    axes = figure.subplots()
    top = max(float(np.quantile(np.abs(gain), 0.95)), 1e-3)
    kinds = list(dict.fromkeys(names.tolist()))
    image = None
    for i, kind in enumerate(kinds):
        rows = names == kind
        image = axes.scatter(
            *plane[rows].T,
            c=gain[rows],
            cmap="PuOr",
            vmin=-top,
            vmax=top,
            marker=MARKERS[i % len(MARKERS)],
            label=kind,
            edgecolors="#666666",
            linewidths=0.6,
        )
    if image is not None:
        figure.colorbar(image, ax=axes, label="gain over the base schedule, log loss")
    if 1 < len(kinds) <= len(MARKERS):
        axes.legend(fontsize="small")
    axes.set_xlabel("first principal component of the telemetry")
    axes.set_ylabel("second")
    return figure
