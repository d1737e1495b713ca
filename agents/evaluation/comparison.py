"""A comparison in the form that the closing analysis reads, made of its table.

Axes: `E` runs, `T` decision intervals of the longest run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.comparing import comparison as comparing
from agents.evaluation.protocol import Results
from agents.opponents.instances import Instance
from hpo_env.tasks.base import Engine, Split


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was compared on what.

    Args:
        family: The task family.
        split: The side of the tasks.
        seed: From which tasks, weights and minibatches follow.
        engine: How inner runs are computed.
        device: A torch device.
        options: Options of the family's trainer.
    """

    family: str
    split: Split
    seed: int
    engine: Engine
    device: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """The outcome of a plan.

    Args:
        plan: The plan.
        results: By opponent, the controller first.
    """

    plan: Plan
    results: dict[str, Results]


def as_comparison(comparison: comparing.Comparison, frame: pd.DataFrame, suite: str) -> Comparison:
    """Return one suite of a comparison, from its table."""
    extent = comparison.extent
    (chosen,) = (known for known in comparison.suites if known.name == suite)
    instances, rows = comparison.instances(suite), frame[frame["suite"] == suite]
    return Comparison(
        plan=Plan(
            family=comparison.family,
            split=chosen.options.get("split", "train"),
            seed=extent.seed,
            engine=extent.engine,
            device=extent.device,
            options=extent.options,
        ),
        results={
            opponent.name: _results(
                opponent.name, instances, rows[rows["opponent"] == opponent.name]
            )
            for opponent in comparison.opponents
        },
    )


def _results(name: str, instances: Sequence[Instance], rows: pd.DataFrame) -> Results:
    by_run = rows.set_index(["unit", "start", "seed"])
    keys = [
        (str(i.lane_seed), start, i.seed)
        for i, start in zip(instances, _starts(instances, rows), strict=True)
    ]
    found: list[Any] = [by_run.loc[pd.Index([key])].iloc[0] for key in keys]
    names = list(found[0]["hyperparameters"])
    return Results(
        method=name,
        tasks=tuple(instance.task for instance in instances),
        seeds=np.array([instance.seed for instance in instances]),
        first_loss=_column(found, "first_loss"),
        last_loss=_column(found, "last_loss"),
        test_loss=_column(found, "test_loss"),
        test_metric=_column(found, "test_metric"),
        diverged=np.array([bool(row["diverged"]) for row in found]),
        hyperparameters={n: _curves([row["hyperparameters"][n] for row in found]) for n in names},
        validation_loss=_curves([row["validation_loss"] for row in found]),
    )


def _starts(instances: Sequence[Instance], rows: pd.DataFrame) -> list[float]:
    known = set(rows["start"])
    return [next(v for v in instance.task.initial if v in known) for instance in instances]


def _column(rows: Sequence[Any], name: str) -> NDArray[np.float64]:
    return np.array([float(row[name]) for row in rows])


def _curves(curves: Sequence[Any]) -> NDArray[np.float64]:
    longest = max(len(curve) for curve in curves)
    padded = [np.pad(c, (0, longest - len(c)), constant_values=np.nan) for c in curves]
    return np.array(padded)
