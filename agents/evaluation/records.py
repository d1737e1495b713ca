"""One row for every run of a comparison: what analysts load, and what the statistics read.

A table is a pandas frame with a row for each opponent and instance. `COLUMNS` says what is in it;
columns of arrays hold one array a row. It is written as Parquet, which any tool reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agents.opponents.base import Instance, Outcome
from hpo_env.errors import ConfigurationError
from hpo_env.reward import DIVERGENCE_LOG_RATIO, log_loss

COLUMNS: dict[str, str] = {
    "opponent": "Name in the registry of opponents",
    "suite": "Name of the suite that the task belongs to",
    "dataset": "Name of the task: its data set",
    "architecture": "Inner model; empty in families without",
    "optimizer": "Inner optimiser; empty in families without",
    "initial_rate": "The user's own learning rate, from which one-run methods start",
    "seed": "Seed of weights and minibatches",
    "unit": "What is repeated independently: equal for the initial rates of one task and seed",
    "first_loss": "Validation loss before the first update",
    "last_loss": "Validation loss at the end; NaN where diverged",
    "test_loss": "Test loss at the end; NaN where diverged",
    "test_metric": "Accuracy or R² on test rows; NaN where there is none",
    "diverged": "Whether the run diverged",
    "log_test_loss": "What methods are compared by; a divergence counts as in the reward",
    "log_last_loss": "The same of validation; what tuning may look at",
    "num_updates": "Inner updates of all trials",
    "train_seconds": "Wall-clock in training and validation, as a share of what ran together",
    "overhead_seconds": "Wall-clock in the method's own decisions",
    "validation_loss": "Validation loss after each interval of the run that is returned [T]",
    "hyperparameters": "Effective values in each interval of that run, by name, [T] each",
    "trial_validation_loss": "Validation loss at the end of each trial [K]",
    "trial_test_loss": "Test loss at the end of each trial [K]",
    "trial_intervals": "Intervals that each trial's run went through [K]",
    "spent_updates": "Inner updates spent when each trial ended [K]",
}
"""What each column means."""


def record(
    opponent: str, suite: str, instance: Instance, outcome: Outcome, *, initial_rate: float
) -> dict[str, Any]:
    """Make the row of one outcome.

    Args:
        opponent: Its name.
        suite: The suite's name.
        instance: As the user gave it, before an opponent set any values.
        outcome: What was reached.
        initial_rate: The instance's own learning rate.

    Returns:
        A value for each of `COLUMNS`.
    """
    task = instance.task
    worst = float(log_loss(np.array(outcome.first_loss))) + DIVERGENCE_LOG_RATIO + 1.0
    return {
        "opponent": opponent,
        "suite": suite,
        "dataset": task.name,
        "architecture": getattr(task, "architecture", ""),
        "optimizer": getattr(task, "optimizer", ""),
        "initial_rate": initial_rate,
        "seed": instance.seed,
        "unit": str(instance.lane_seed),
        "first_loss": outcome.first_loss,
        "last_loss": outcome.last_loss,
        "test_loss": outcome.test_loss,
        "test_metric": outcome.test_metric,
        "diverged": outcome.diverged,
        "log_test_loss": _bounded(outcome.test_loss, worst),
        "log_last_loss": _bounded(outcome.last_loss, worst),
        "num_updates": outcome.num_updates,
        "train_seconds": outcome.train_seconds,
        "overhead_seconds": outcome.overhead_seconds,
        "validation_loss": outcome.validation_loss,
        "hyperparameters": outcome.hyperparameters,
        "trial_validation_loss": outcome.trial_validation_loss,
        "trial_test_loss": outcome.trial_test_loss,
        "trial_intervals": outcome.trial_intervals,
        "spent_updates": outcome.spent_updates,
    }


def to_frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Make a table of rows, sorted by suite, opponent, task, seed and initial rate."""
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS))
    order = ["suite", "opponent", "dataset", "architecture", "optimizer", "seed", "unit"]
    return frame.sort_values([*order, "initial_rate"], kind="stable", ignore_index=True)


def write_records(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet; inverse of `read_records`."""
    frame.to_parquet(path, index=False)


def read_records(path: Path) -> pd.DataFrame:
    """Read a table that `write_records` wrote.

    Raises:
        ConfigurationError: The file is missing, or is no such table.
    """
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: no table of a comparison: {error}") from error
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ConfigurationError(f"{path}: no table of a comparison: it lacks {missing}")
    return frame


def _bounded(loss: float, worst: float) -> float:
    if not np.isfinite(loss):
        return worst
    return min(float(log_loss(np.array(loss))), worst)
