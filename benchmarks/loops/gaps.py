"""How far controlled runs end from the best of a sweep of cosines, and how sure that is.

A gap is a difference of logarithms of test losses to one cosine of the same workload and seed: that
with the lowest test loss, which nobody knows in time, or that with the lowest validation loss,
which is what a sweep of the rate gives its user.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from agents.statistics.intervals import Interval, bootstrap_mean
from benchmarks.loops.running import Outcome, Setting
from benchmarks.loops.tables import BASELINE

ChosenBy = Literal["test", "validation"]
"""By which of its losses one of the cosines is chosen."""


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """Gaps of one opponent to the best of the cosines.

    Args:
        workloads: Of each run `[N]`.
        values: The gaps `[N]`; below 0 is ahead.
    """

    workloads: tuple[str, ...]
    values: NDArray[np.float64]

    def mean(self) -> Interval:
        """Return the mean and a bootstrap interval over workloads: each is drawn whole."""
        return bootstrap_mean(self.values, np.zeros(len(self.values)), np.array(self.workloads))


def gaps(
    done: Mapping[Setting, Outcome], opponent: str, chosen_by: ChosenBy, workloads: Sequence[str]
) -> Gaps:
    """Return the gaps of an opponent's runs whose workload and seed have cosines.

    Args:
        done: What was run, of one length.
        opponent: Whose runs.
        chosen_by: How one of the cosines is chosen.
        workloads: Runs of others are left out.
    """
    sweeps: dict[tuple[str, str, int], list[Outcome]] = {}
    for setting, outcome in done.items():
        if setting.opponent == BASELINE:
            sweeps.setdefault(_place(setting), []).append(outcome)
    mine = [
        (setting.workload, outcome.test, sweeps[_place(setting)])
        for setting, outcome in done.items()
        if setting.opponent == opponent
        and setting.workload in workloads
        and _place(setting) in sweeps
    ]
    chosen = [min(sweep, key=lambda o: float(getattr(o, chosen_by))).test for *_, sweep in mine]
    values = [math.log(test / best) for (_, test, _), best in zip(mine, chosen, strict=True)]
    return Gaps(workloads=tuple(workload for workload, *_ in mine), values=np.array(values))


def summary(done: Mapping[Setting, Outcome], opponent: str, workloads: Sequence[str]) -> str:
    """Return a line of text for each way to choose one of the cosines; none without runs."""
    lines = []
    for chosen_by in get_args(ChosenBy):
        found = gaps(done, opponent, chosen_by, workloads)
        if not len(found.values):
            continue
        mean = found.mean()
        lines.append(
            f"{opponent}, to the {BASELINE} with the lowest {chosen_by} loss: mean "
            f"{mean.estimate:+.3f} [{mean.low:+.3f}, {mean.high:+.3f}], median "
            f"{np.median(found.values):+.3f}, level or ahead in {np.sum(found.values <= 0.0)} of "
            f"{len(found.values)}, within .05 in {np.sum(found.values <= 0.05)}\n"
        )
    return "".join(lines)


def _place(setting: Setting) -> tuple[str, str, int]:
    """Return what a run has in common with the cosines that it is compared with."""
    return setting.workload, setting.optimizer, setting.seed
