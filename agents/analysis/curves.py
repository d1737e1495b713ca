"""Curves, histograms and pictures of curves, read back from a run's TensorBoard events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import tags
from agents.analysis.layout import QUANTILES
from agents.analysis.style import LINES, PALETTE, new_figure
from agents.training_log import MOVE_BINS

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


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A small picture of curves.

    Args:
        title: What it shows.
        lines: Tags by label.
        band: Template of a band's tags, with `{quantile}`; None for lines.
        x_label: What the horizontal axis counts.
    """

    title: str
    lines: Mapping[str, str] = field(default_factory=dict)
    band: str | None = None
    x_label: str = "environment steps"

    @property
    def tags(self) -> list[str]:
        """All tags that it shows; of a band median, lower and upper."""
        if self.band is not None:
            return [self.band.format(quantile=quantile) for quantile in QUANTILES]
        return list(self.lines.values())


def story_panels(hyperparameters: Sequence[str]) -> list[Panel]:
    """Choose the first screen of the layout: learning, generalisation, divergence, what is set."""
    generalisation = {
        "meta-training": tags.RETURN,
        "meta-validation": tags.SCORE,
        "best": tags.BEST_SCORE,
    }
    failures = {
        "meta-training": tags.ROLLED_BACK,
        "meta-validation": tags.VALIDATION_ROLLED_BACK,
    }
    saturation = {n: tags.ACTION_SATURATION.format(hyperparameter=n) for n in hyperparameters}
    values = [tags.QUANTILE.replace("{hyperparameter}", name) for name in hyperparameters]
    health = {
        "explained variance": "train/explained_variance",
        "clip fraction": "train/clip_fraction",
        "KL": "train/approx_kl",
    }
    return [
        Panel(title="return over tasks, 10–90 %", band=tags.RETURN_QUANTILE),
        Panel(title="does it generalise?", lines=generalisation),
        Panel(title="share of intervals taken back", lines=failures),
        *(
            Panel(title=f"{name}, 10–90 %", band=band)
            for name, band in zip(hyperparameters, values, strict=True)
        ),
        Panel(title="actions at the end of their range", lines=saturation),
        Panel(title="the agent's health", lines=health),
        Panel(title="environment steps a second", lines={"": tags.STEPS_PER_SECOND}),
    ]


def single_run_panels(hyperparameters: Sequence[str]) -> list[Panel]:
    """Choose what a user's own run shows: losses, and what was set."""
    names = ("train_loss", "validation_loss")
    losses = {name: tags.RUN_MEASURED.format(measurement=name) for name in names}
    moves = {name: tags.RUN_MOVE.format(hyperparameter=name) for name in hyperparameters}
    return [
        Panel(title="losses", lines=losses, x_label="updates"),
        *(
            Panel(
                title=name,
                lines={"": tags.RUN_VALUE.format(hyperparameter=name)},
                x_label="updates",
            )
            for name in hyperparameters
        ),
        Panel(title="moves", lines=moves, x_label="updates"),
    ]


def present(panels: Sequence[Panel], curves: Curves) -> list[Panel]:
    """Return the panels that have a curve to show."""
    return [panel for panel in panels if any(tag in curves.scalars for tag in panel.tags)]


def panel_figure(panel: Panel, curves: Curves) -> Any:
    """Draw a panel."""
    figure = new_figure(3.6, 2.7)
    axes = figure.subplots()
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x_label)
    axes.grid(visible=True)
    axes.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
    if panel.band is None:
        _draw_lines(axes, curves, panel.lines)
    else:
        _draw_band(axes, curves, panel.tags)
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


def _draw_lines(axes: Any, curves: Curves, content: Mapping[str, str]) -> None:
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
