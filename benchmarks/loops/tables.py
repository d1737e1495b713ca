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
    """
    parts = []
    for optimizer in sorted({setting.optimizer for setting in done}):
        losses = _losses(done, optimizer)
        rows = sorted({row for row, _ in losses})
        best = {w: _best(losses, w) for w in workloads}
        head = ["opponent", "rate", *workloads, "mean gap", "worst gap"]
        lines = [f"**{optimizer}**\n", _line(head), _line(["---"] * len(head))]
        for row in rows:
            mine = [losses.get((row, w), math.nan) for w in workloads]
            gaps = [
                math.log(m / best[w])
                for w, m in zip(workloads, mine, strict=True)
                if math.isfinite(m) and math.isfinite(best[w])
            ]
            ends = [f"{np.mean(gaps):+.3f}", f"{max(gaps):+.3f}"] if gaps else ["", ""]
            lines.append(_line([row[0], f"{row[1]:g}", *(f"{m:.3f}" for m in mine), *ends]))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _losses(done: Mapping[Setting, Outcome], optimizer: str) -> dict[tuple[Row, str], float]:
    found: dict[tuple[Row, str], list[float]] = defaultdict(list)
    for setting, outcome in done.items():
        if setting.optimizer == optimizer:
            found[(setting.opponent, setting.rate), setting.workload].append(outcome.test)
    return {key: float(np.mean(values)) for key, values in found.items()}


def _best(losses: Mapping[tuple[Row, str], float], workload: str) -> float:
    """Return the lowest loss of the baseline; infinite where it was not run."""
    found = [v for ((name, _), w), v in losses.items() if name == BASELINE and w == workload]
    return min(found, default=math.inf)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
