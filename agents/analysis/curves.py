"""Curves, histograms and pictures of curves, read back from a run's TensorBoard events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import tags
from agents.analysis.layout import QUANTILES
from agents.analysis.style import LINES, PALETTE, new_figure
from agents.callbacks import MOVE_BINS

Array = NDArray[np.float64]

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
    present = events.Tags()
    scalars = {}
    for tag in present["scalars"]:
        points = events.Scalars(tag)
        scalars[tag] = Curve(
            steps=np.array([p.step for p in points], dtype=np.float64),
            values=np.array([p.value for p in points], dtype=np.float64),
        )
    moves = {}
    for tag in present["histograms"]:
        written = events.Histograms(tag)
        steps = np.array([h.step for h in written], dtype=np.float64)
        counts = [_counts(h.histogram_value) for h in written]
        moves[tag] = steps, np.stack(counts)
    return Curves(scalars=scalars, moves=moves)


def _counts(histogram: Any) -> Array:
    """Return how often each move was made `[bins]`; TensorBoard leaves empty ends out."""
    counts = np.zeros(len(MOVE_BINS) - 1)
    centres = np.asarray(histogram.bucket_limit) - (MOVE_BINS[1] - MOVE_BINS[0]) / 2.0
    index = np.searchsorted(MOVE_BINS, centres) - 1
    inside = (index >= 0) & (index < len(counts))
    np.add.at(counts, index[inside], np.asarray(histogram.bucket)[inside])
    return counts


def story_figure(curves: Curves, hyperparameters: Sequence[str]) -> Any:
    """Draw the first screen of the layout: learning, generalisation, divergence, what is set."""
    panels = [
        ("return over tasks, 10–90 %", "band", tags.RETURN_QUANTILE),
        (
            "does it generalise?",
            "lines",
            {"meta-training": tags.RETURN, "meta-validation": tags.SCORE, "best": tags.BEST_SCORE},
        ),
        (
            "share of diverged runs",
            "lines",
            {"meta-training": tags.DIVERGED, "meta-validation": tags.VALIDATION_DIVERGED},
        ),
        *(
            (f"{name}, 10–90 %", "band", tags.QUANTILE.replace("{hyperparameter}", name))
            for name in hyperparameters
        ),
        (
            "actions at the end of their range",
            "lines",
            {n: tags.ACTION_SATURATION.format(hyperparameter=n) for n in hyperparameters},
        ),
        (
            "agent's health",
            "lines",
            {
                "explained variance": "train/explained_variance",
                "clip fraction": "train/clip_fraction",
                "KL": "train/approx_kl",
            },
        ),
        ("environment steps a second", "lines", {"": tags.STEPS_PER_SECOND}),
    ]
    return _grid([p for p in panels if _has_any(curves, p[2])], curves, "environment steps")


def single_run_figure(curves: Curves, hyperparameters: Sequence[str]) -> Any:
    """Draw a user's own run: losses, and what was set."""
    losses = {
        name: tags.RUN_MEASURED.format(measurement=name)
        for name in ("train_loss", "validation_loss")
    }
    panels: list[tuple[str, str, Any]] = [("losses", "lines", losses)]
    panels += [
        (name, "lines", {"": tags.RUN_VALUE.format(hyperparameter=name)})
        for name in hyperparameters
    ]
    panels.append(
        (
            "moves",
            "lines",
            {n: tags.RUN_MOVE.format(hyperparameter=n) for n in hyperparameters},
        )
    )
    return _grid([p for p in panels if _has_any(curves, p[2])], curves, "updates")


def _tags_of(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content.format(quantile=quantile) for quantile in QUANTILES]
    return list(content.values())


def _has_any(curves: Curves, content: Any) -> bool:
    return any(tag in curves.scalars for tag in _tags_of(content))


def _grid(panels: Sequence[tuple[str, str, Any]], curves: Curves, x_label: str) -> Any:
    columns = min(3, max(1, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    figure = new_figure(3.4 * columns + 0.4, 2.6 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(panels):
            axes.set_axis_off()
            continue
        title, kind, content = panels[place]
        axes.set_title(title)
        axes.grid(visible=True)
        axes.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
        if kind == "band":
            _draw_band(axes, curves, _tags_of(content))
        else:
            _draw_lines(axes, curves, content)
        if place + columns >= len(panels):
            axes.set_xlabel(x_label)
    return figure


def _draw_band(axes: Any, curves: Curves, names: Sequence[str]) -> None:
    median, low, high = (curves.scalars.get(name) for name in names)
    if median is None:
        return
    axes.plot(median.steps, median.values, color=PALETTE[0])
    if low is not None and high is not None:
        axes.fill_between(
            low.steps, low.values, high.values, color=PALETTE[0], alpha=0.2, linewidth=0
        )
        positive = low.values.min() > 0.0
        if positive and high.values.max() > 30.0 * low.values.min():
            axes.set_yscale("log")


def _draw_lines(axes: Any, curves: Curves, content: dict[str, str]) -> None:
    shown = [
        (label, curves.scalars[tag]) for label, tag in content.items() if tag in curves.scalars
    ]
    for i, (label, curve) in enumerate(shown):
        style = {"color": PALETTE[i % len(PALETTE)], "linestyle": LINES[i % len(LINES)]}
        marker = "o" if len(curve.steps) == 1 else None
        axes.plot(curve.steps, curve.values, label=label, marker=marker, **style)
    values = np.concatenate([curve.values for _, curve in shown])
    if values.min() > 0.0 and values.max() > 100.0 * values.min():
        axes.set_yscale("log")
    if any(label for label, _ in shown):
        axes.legend(fontsize="small")


def moves_figure(curves: Curves, name: str) -> Any:
    """Draw how often each move of a hyperparameter was made, over the meta-training."""
    columns: dict[float, Array] = {}
    for third in tags.THIRDS:
        tag = tags.ACTION_HISTOGRAM.format(hyperparameter=name, third=third)
        steps, counts = curves.moves.get(tag, (np.zeros(0), np.zeros((0, 0))))
        columns |= dict(zip(steps.tolist(), counts, strict=True))
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
