"""What came out, as markdown.

A gap is a difference of log test losses: 0.05 is five per cent.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.loops.running import Outcome, Setting

BASELINE = "cosine"
Row = tuple[str, float]
"""An opponent and its rate."""


def markdown(done: Mapping[Setting, Outcome], workloads: Sequence[str]) -> str:
    """Return one table for each optimiser: opponents and rates by workload, means over seeds.

    The last columns hold mean and worst gap to the best of the baseline's rates, which is chosen
    for each workload by its own mean test loss.

    Args:
        done: What was run.
        workloads: The columns; runs of others are left out.
    """
    parts = []
    for optimizer in sorted({setting.optimizer for setting in done}):
        losses = _losses(done, optimizer, workloads)
        if not losses:
            continue
        best = {w: _best(losses, w) for w in workloads}
        head = ["opponent", "rate", *workloads, "mean gap", "worst gap"]
        lines = [f"**{optimizer}**\n", _line(head), _line(["---"] * len(head))]
        for row in sorted({row for row, _ in losses}):
            mine = [losses.get((row, w)) for w in workloads]
            gaps = [
                math.log(m / best[w])
                for w, m in zip(workloads, mine, strict=True)
                if m is not None and math.isfinite(best[w])
            ]
            ends = [f"{np.mean(gaps):+.3f}", f"{max(gaps):+.3f}"] if gaps else ["", ""]
            lines.append(_line([row[0], f"{row[1]:g}", *map(_loss, mine), *ends]))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _loss(loss: float | None) -> str:
    return "" if loss is None else f"{loss:.3g}" if loss < 0.1 else f"{loss:.3f}"


def _losses(
    done: Mapping[Setting, Outcome], optimizer: str, workloads: Sequence[str]
) -> dict[tuple[Row, str], float]:
    found: dict[tuple[Row, str], list[float]] = defaultdict(list)
    for setting, outcome in done.items():
        if setting.optimizer == optimizer and setting.workload in workloads:
            found[(setting.opponent, setting.rate), setting.workload].append(outcome.test)
    return {key: float(np.mean(values)) for key, values in found.items()}


def _best(losses: Mapping[tuple[Row, str], float], workload: str) -> float:
    """Return the lowest loss of the baseline; infinite where it was not run."""
    found = [v for ((name, _), w), v in losses.items() if name == BASELINE and w == workload]
    return min(found, default=math.inf)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
