"""The picture of the numbers: speed by architecture, and what a lane costs by number of lanes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.reporting.style import PALETTE, new_figure, styled


def save_plot(result: dict[str, Any], path: Path) -> None:
    """Draw the parts `models` and `lanes`.

    Args:
        result: What the benchmark measured.
        path: A PNG or SVG file; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        figure = new_figure(10.0, 4.6)
        left, right = figure.subplots(1, 2, width_ratios=(1.4, 1.0))
        _draw_ratios(left, result["parts"]["models"])
        _draw_costs(right, result["parts"]["lanes"])
        figure.suptitle(f"{result['machine']['processor']}, one thread", fontsize="medium")
        figure.savefig(path, facecolor="white")


def _draw_ratios(axes: Any, models: dict[str, Any]) -> None:
    rows = models["rows"][::-1]
    names = [row["name"] for row in rows]
    bars = axes.barh(names, [row["ratio"] for row in rows], color=PALETTE[0])
    axes.bar_label(bars, [f"{row['ratio']:.1f}×" for row in rows], padding=3)
    axes.margins(x=0.12)
    axes.set(title="Env steps a second over a torch.optim loop", xlabel="times as fast")


def _draw_costs(axes: Any, lanes: dict[str, Any]) -> None:
    counts = [row["lanes"] for row in lanes["rows"]]
    costs = [row["milliseconds_per_lane_step"] for row in lanes["rows"]]
    axes.plot(counts, costs, "o-", color=PALETTE[0])
    axes.set_xscale("log", base=4)
    axes.set_xticks(counts, [f"{count:,}" for count in counts], fontsize="small")
    axes.minorticks_off()
    axes.set_ylim(bottom=0.0)
    axes.grid(axis="y")
    axes.set(
        title=f"Step of {lanes['updates']} updates, MLP 64-64",
        xlabel="lanes",
        ylabel="ms per lane",
    )
