"""The rescue protocol: a badly set optimiser that is steered, beside a well set one.

Settings alone decide how good an optimiser seems: AlgoPerf's NAdamW scores .451 or .186 by them
(Dahl et al., "Benchmarking Neural Network Training Algorithms", 2023). Every entry is AdamW or SGD
with one setting that nobody would defend. It is trained alone, its rate kept, and steered by the
controller; well set is the best of four cosines of plain AdamW, each a run of its own. What is
rescued is the share of the distance in log test loss from alone to well set: 1 is as good as well
set, 0 is no help.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from benchmarks.loops.running import Outcome, Setting

ALONE = "constant"
WELL_SET = "cosine"

RESCUES: dict[str, tuple[str, float]] = {
    "rate 1e-6": ("adamw", 1e-6),
    "rate 0.1": ("adamw", 1e-1),
    "decay 10": ("adamw_decaying", 1e-3),
    "first beta 0.99": ("adamw_slow", 1e-3),
    "epsilon 0.1": ("adamw_blunt", 1e-3),
    "SGD without momentum, rate 1e-3": ("plain_sgd", 1e-3),
}
"""What is wrong, with a key of `OPTIMIZERS` and the rate."""


def settings(
    workloads: Sequence[str],
    controllers: Sequence[str],
    schedule_rates: Sequence[float],
    *,
    seeds: int,
    scale: float,
) -> Iterator[Setting]:
    """List the runs: of every seed and workload the well set ones first.

    Args:
        workloads: Keys of `WORKLOADS`.
        controllers: Keys of `OPPONENTS`, or folders of policies.
        schedule_rates: Highest rates of what is well set.
        seeds: So many, from 0.
        scale: Factor on the number of updates.
    """
    for seed, workload in product(range(seeds), workloads):
        well = [("adamw", WELL_SET, rate) for rate in schedule_rates]
        badly = [
            (optimizer, opponent, rate)
            for optimizer, rate in RESCUES.values()
            for opponent in (ALONE, *controllers)
        ]
        for optimizer, opponent, rate in (*well, *badly):
            yield Setting(
                workload=workload,
                opponent=opponent,
                optimizer=optimizer,
                rate=rate,
                seed=seed,
                scale=scale,
            )


def markdown(
    done: Mapping[Setting, Outcome], workloads: Sequence[str], controllers: Sequence[str]
) -> str:
    """Return one table for each controller: gaps to what is well set, alone and steered.

    Args:
        done: What was run, of one scale.
        workloads: The columns.
        controllers: Whose tables.
    """
    parts = []
    for controller in controllers:
        head = ["what is wrong", *workloads, "mean, alone", "mean, steered", "rescued"]
        lines = [f"**{controller}**\n", _line(head), _line(["---"] * len(head))]
        for name, (optimizer, rate) in RESCUES.items():
            pairs = [_gaps(done, w, optimizer, rate, controller) for w in workloads]
            there = [pair for pair in pairs if pair is not None]
            if not there:
                continue
            alone, steered = np.mean(there, axis=0)
            cells = ["" if p is None else f"{p[0]:+.3f} → {p[1]:+.3f}" for p in pairs]
            share = f"{(alone - steered) / alone:.0%}" if alone > 0.0 else "nothing to rescue"
            lines.append(_line([name, *cells, f"{alone:+.3f}", f"{steered:+.3f}", share]))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _gaps(
    done: Mapping[Setting, Outcome], workload: str, optimizer: str, rate: float, controller: str
) -> tuple[float, float] | None:
    """Return the mean gaps of log test loss over seeds, alone and steered; None where not run.

    What diverged counts as untrained: an infinite gap would say nothing of the others.
    """
    found = []
    for setting, outcome in done.items():
        here = (setting.workload, setting.optimizer, setting.rate)
        if here != (workload, optimizer, rate) or setting.opponent != controller:
            continue
        alone = done.get(_beside(setting, ALONE, optimizer, rate))
        well = [
            other.test
            for s, other in done.items()
            if s == _beside(setting, WELL_SET, "adamw", s.rate) and math.isfinite(other.test)
        ]
        if alone is not None and well:
            ends = (alone, outcome)
            found.append([math.log(_bounded(end) / min(well)) for end in ends])
    if not found:
        return None
    before, after = np.mean(found, axis=0)
    return float(before), float(after)


def _beside(setting: Setting, opponent: str, optimizer: str, rate: float) -> Setting:
    return replace(setting, opponent=opponent, optimizer=optimizer, rate=rate)


def _bounded(outcome: Outcome) -> float:
    return outcome.test if math.isfinite(outcome.test) else outcome.untrained


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
