"""Curves, histograms and pictures of curves, read back from a run's TensorBoard events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from .. import tags
from ..training_log import MOVE_BINS
from .layout import Panel
from .style import LINES, PALETTE, new_figure

Array = NDArray[np.float64]

_TITLE_LETTERS = 36  # in a line above a panel
_KEEP_ALL = {"scalars": 0, "tensors": 0, "images": 1, "histograms": 0}


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A scalar over time.

    Args:
        steps: Rising `[P]`.
        values: `[P]`.
    """

    steps: Array
    values: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """All that a run's events hold.

    Args:
        scalars: By tag.
        moves: By tag of `ACTION_HISTOGRAM`: steps `[P]` and how often each move was made,
            `[P, bins]`.
    """

    scalars: dict[str, Curve]
    moves: dict[str, tuple[Array, Array]]


def read_curves(folder: Path) -> Curves:
    """Read the events of a run folder, not of its sub-folders; a torn end is left out."""
    events = EventAccumulator(str(folder), size_guidance=_KEEP_ALL).Reload()
    written = events.Tags()
    scalars = {}
    for tag in written["scalars"]:
        points = events.Scalars(tag)
        scalars[tag] = Curve(
            steps=np.array([p.step for p in points], dtype=np.float64),
            values=np.array([p.value for p in points], dtype=np.float64),
        )
    moves = {}
    for tag in written["histograms"]:
        points = events.Histograms(tag)
        steps = np.array([p.step for p in points], dtype=np.float64)
        counts = [_counts(p.histogram_value) for p in points]
        moves[tag] = steps, np.stack(counts)
    return Curves(scalars=scalars, moves=moves)


def hyperparameters_in(curves: Curves) -> list[str]:
    """Return the names of the hyperparameters that have curves."""
    prefix = tags.RUN_VALUE.format(hyperparameter="")
    found = [tag.removeprefix(prefix) for tag in curves.scalars if tag.startswith(prefix)]
    return list(dict.fromkeys(name.split("/")[0] for name in found))


def _counts(histogram: Any) -> Array:
    """Return how often each move was made `[bins]`; TensorBoard leaves empty ends out."""
    counts = np.zeros(len(MOVE_BINS) - 1)
    centres = np.asarray(histogram.bucket_limit) - (MOVE_BINS[1] - MOVE_BINS[0]) / 2.0
    index = np.searchsorted(MOVE_BINS, centres) - 1
    inside = (index >= 0) & (index < len(counts))
    np.add.at(counts, index[inside], np.asarray(histogram.bucket)[inside])
    return counts


def present(panels: Sequence[Panel], curves: Curves) -> list[Panel]:
    """Return the panels that have a curve to show."""
    return [panel for panel in panels if any(tag in curves.scalars for tag in panel.tags)]


def panel_figure(panel: Panel, curves: Curves, *, x_label: str = "environment steps") -> Any:
    """Draw a panel that has a curve to show.

    Args:
        panel: What to draw.
        curves: Of the run.
        x_label: What the horizontal axis counts.
    """
    figure = new_figure(3.6, 2.7)
    axes = figure.subplots()
    axes.set_title(fill(panel.title, _TITLE_LETTERS))
    axes.set_xlabel(x_label)
    axes.grid(visible=True)
    axes.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
    shown = {tag: curves.scalars[tag] for tag in panel.tags if tag in curves.scalars}
    ends = list(shown.values())[1:]
    if panel.is_band and len(ends) == 2:
        low, high = ends
        axes.fill_between(low.steps, low.values, high.values, color=PALETTE[0], alpha=0.2, lw=0)
    lines = dict(list(shown.items())[:1]) if panel.is_band else shown
    labels = _told_apart(list(lines))
    for i, (tag, curve) in enumerate(lines.items()):
        style = {"color": PALETTE[i % len(PALETTE)], "linestyle": LINES[i % len(LINES)]}
        marker = "o" if len(curve.steps) == 1 else None
        axes.plot(curve.steps, curve.values, label=labels[tag], marker=marker, **style)
    values = np.concatenate([curve.values for curve in shown.values()])
    if values.min() > 0.0 and values.max() > 100.0 * values.min():
        axes.set_yscale("log")
    if len(lines) > 1:
        axes.legend(fontsize="small")
    return figure


def _told_apart(names: Sequence[str]) -> dict[str, str]:
    """Return tags without the parts at their beginning and end that all of them share.

    Example:
        >>> _told_apart(["actions/momentum/mean", "actions/dropout/mean"])
        {'actions/momentum/mean': 'momentum', 'actions/dropout/mean': 'dropout'}
    """
    parts = [name.split("/") for name in names]
    while min(map(len, parts)) > 1 and len({part[0] for part in parts}) == 1:
        parts = [part[1:] for part in parts]
    while min(map(len, parts)) > 1 and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    return dict(zip(names, map("/".join, parts), strict=True))


def moves_figure(curves: Curves, name: str) -> Any:
    """Draw how often each move of a hyperparameter was made, over the meta-training."""
    columns: dict[float, Array] = {}
    for third in tags.THIRDS:
        tag = tags.ACTION_HISTOGRAM.format(hyperparameter=name, third=third)
        written, counts = curves.moves.get(tag, (np.zeros(0), np.zeros((0, 0))))
        columns |= dict(zip(written.tolist(), counts, strict=True))
    steps = sorted(columns)
    table = np.stack([columns[step] / max(columns[step].sum(), 1.0) for step in steps], axis=1)
    figure = new_figure(6.5, 3.4)
    axes = figure.subplots()
    edges = np.array([0.0, *steps])
    image = axes.pcolormesh(edges, MOVE_BINS, table, cmap="cividis", vmin=0.0)
    axes.set_xlabel("environment steps")
    axes.set_ylabel(f"move of the {name.replace('_', ' ')}")
    figure.colorbar(image, ax=axes, label="share of moves")
    return figure
