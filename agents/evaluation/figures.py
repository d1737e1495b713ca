"""The picture of what a controller does: the rate it sets over a run, and the loss that follows.

Axes: `E` runs, `T` decision intervals, `G` points of progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.protocol import Results
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.rendering import require_matplotlib

Array = NDArray[np.float64]

# Okabe and Ito's palette, told apart with any kind of colour vision.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # and told apart in print, too
_NUM_POINTS = 60
_BAND = (0.1, 0.5, 0.9)
_MAX_GROUPS = len(_COLOURS)


def over_progress(curves: Array) -> Array:
    """Put runs of different lengths on one axis of progress.

    Args:
        curves: `[E, T]`, NaN after a run's end.

    Returns:
        `[E, G]`: what was in force at each of G points from the run's start to its end.

    Example:
        >>> over_progress(np.array([[1.0, 2.0, np.nan]]))[0, [0, 29, 30, -1]].tolist()
        [1.0, 1.0, 2.0, 2.0]
    """
    lengths = np.maximum((~np.isnan(curves)).sum(axis=1), 1)
    points = (np.arange(_NUM_POINTS) + 0.5) / _NUM_POINTS
    index = (points * lengths[:, None]).astype(np.int64)
    return np.take_along_axis(curves, np.minimum(index, lengths[:, None] - 1), axis=1)


def draw_schedules(
    results: Mapping[str, Results],
    path: Path,
    *,
    space: HyperparameterSpace,
    method: str = "controller",
    baseline: str | None = "cosine_tuned",
) -> Path:
    """Draw the rates that a method set from each initial rate, and the validation losses beneath.

    Lines are medians over tasks and bands reach from the 10 % to the 90 % quantile. Diverged runs
    are left out of the curves and counted in the legend.

    Args:
        results: By method.
        path: PNG to write; its folder is made.
        space: All hyperparameters of the family.
        method: Whose rates to draw.
        baseline: A method to draw beside it; skipped where it was not run.

    Returns:
        The path.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    column = [h.scheduled for h in space.hyperparameters].index(True)
    name = space.names[column]
    # The object interface, and not pyplot: no global state, no window, no leak.
    figure = Figure(figsize=(8.0, 7.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    rates, losses = figure.subplots(2, 1, sharex=True)
    shown = results[method]
    for i, (label, rows) in enumerate(_groups(shown.initial(column))):
        style = {"color": _COLOURS[i], "marker": _MARKERS[i]}
        _draw(rates, losses, shown.take(rows), name, f"{method}, from {label}", style)
    if baseline is not None and baseline in results:
        style = {"color": "black", "linestyle": "--"}
        _draw(rates, losses, results[baseline], name, baseline, style)
    rates.set_yscale("log")
    rates.set_ylabel(name.replace("_", " "))
    rates.set_title("What the controller sets, and what follows (median, 10–90 % of tasks)")
    losses.axhline(0.0, color="grey", linewidth=0.8)
    losses.set_ylabel("log validation loss,\nchange since the start")
    losses.set_xlabel("progress of the run")
    losses.set_xlim(0.0, 1.0)
    for axes in (rates, losses):
        axes.grid(visible=True, alpha=0.3)
    rates.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _groups(initial: Array) -> list[tuple[str, NDArray[Any]]]:
    """Group runs by initial rate; where every task drew its own, by decade."""
    values = np.unique(initial)
    if len(values) <= _MAX_GROUPS:
        return [(f"{value:g}", initial == value) for value in values]
    decades = np.floor(np.log10(initial)).astype(np.int64)
    present = np.unique(decades)
    if len(present) > _MAX_GROUPS:
        return [("any rate", np.ones(len(initial), dtype=bool))]
    return [(f"1e{d} to 1e{d + 1}", decades == d) for d in present]


def _draw(
    rates: Any, losses: Any, results: Results, name: str, label: str, style: dict[str, Any]
) -> None:
    num_diverged = int(results.diverged.sum())
    finished = results.take(~results.diverged)
    if num_diverged:
        label += f" ({num_diverged} of {len(results)} diverged)"
    if not len(finished):
        rates.plot([], [], label=label, **style)
        return
    change = np.log(finished.validation_loss / finished.first_loss[:, None])
    progress = (np.arange(_NUM_POINTS) + 0.5) / _NUM_POINTS
    for axes, curves in ((rates, finished.hyperparameters[name]), (losses, change)):
        low, median, high = np.quantile(over_progress(curves), _BAND, axis=0)
        axes.plot(progress, median, label=label, markevery=10, markersize=5, **style)
        axes.fill_between(progress, low, high, color=style["color"], alpha=0.15, linewidth=0)
