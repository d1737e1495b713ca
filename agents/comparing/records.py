"""One row for every run of a comparison: what analysts load, and what the statistics read.

A table is a pandas frame with a row for each opponent and instance. `COLUMNS` says what is in it,
and each label of the tasks has a column `label.NAME` of its own; columns of arrays hold one array a
row. It is written as Parquet, which any tool reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from hpo_env.errors import ConfigurationError
from hpo_env.reward import LOSS_FLOOR

from ..opponents.instances import Instance, Outcome

REFERENCE = "controller"
"""The opponent that all others are compared with."""

COLUMNS: dict[str, str] = {
    "opponent": "Name in the registry of opponents",
    "suite": "Name of the suite that the task belongs to",
    "task": "Name of the task: in supervised learning, its data set",
    "start": "The user's own value of the leading hyperparameter, where one-run opponents start",
    "seed": "Seed of weights and minibatches",
    "unit": "What is repeated independently: equal for the starts of one task and seed",
    "loss_floor": "What the family takes lower losses for",
    "first_loss": "Validation loss before the first update",
    "last_loss": "Validation loss at the end; NaN where diverged",
    "test_loss": "Test loss at the end; NaN where diverged",
    "test_metric": "Accuracy or R² on test rows; NaN where there is none",
    "diverged": "Whether the run diverged",
    "log_test_loss": "What opponents are compared by; a divergence counts as in the reward",
    "log_last_loss": "The same of validation; what tuning may look at",
    "num_updates": "Inner updates of all trials",
    "train_seconds": "Wall-clock in training and validation, as a share of what ran together",
    "overhead_seconds": "Wall-clock in the opponent's own decisions",
    "validation_loss": "Validation loss after each interval of the run that is returned [T]",
    "hyperparameters": "Effective values in each interval of that run, by name, [T] each",
    "trial_validation_loss": "Validation loss at the end of each trial [K]",
    "trial_test_loss": "Test loss at the end of each trial [K]",
    "trial_intervals": "Intervals that each trial's run went through [K]",
    "spent_updates": "Inner updates spent when each trial ended [K]",
}
"""What each column means; see `column_help` for those of labels."""

LABEL = "label."
"""What the names of the labels' columns begin with."""


def label_names(frame: pd.DataFrame) -> tuple[str, ...]:
    """List the labels of a table's tasks, in order."""
    return tuple(str(c).removeprefix(LABEL) for c in frame.columns if str(c).startswith(LABEL))


def column_help(name: str) -> str:
    """Say what a column holds."""
    if name.startswith(LABEL):
        return f"What tells tasks of one name apart: {name.removeprefix(LABEL)}"
    return COLUMNS[name]


def record(
    opponent: str,
    suite: str,
    instance: Instance,
    outcome: Outcome,
    *,
    start: float,
    loss_floor: float = LOSS_FLOOR,
) -> dict[str, Any]:
    """Make the row of one outcome.

    Args:
        opponent: Its name.
        suite: The suite's name.
        instance: As the user gave it, before an opponent set any values.
        outcome: What was reached.
        start: The instance's own value of the leading hyperparameter.
        loss_floor: The family's own.

    Returns:
        A value for each of `COLUMNS`, and for each label.
    """
    task = instance.task
    return {
        "opponent": opponent,
        "suite": suite,
        "task": task.name,
        **{LABEL + name: value for name, value in task.labels.items()},
        "start": start,
        "seed": instance.seed,
        "unit": str(instance.lane_seed),
        "loss_floor": loss_floor,
        "first_loss": outcome.first_loss,
        "last_loss": outcome.last_loss,
        "test_loss": outcome.test_loss,
        "test_metric": outcome.test_metric,
        "diverged": outcome.diverged,
        "log_test_loss": outcome.log_test_loss(loss_floor),
        "log_last_loss": outcome.log_last_loss(loss_floor),
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
    """Make a table of rows: suites in the order in which they come, the rest sorted."""
    listed = list(rows)
    labels = dict.fromkeys(name for row in listed for name in row if name.startswith(LABEL))
    at = list(COLUMNS).index("task") + 1
    frame = pd.DataFrame(listed, columns=[*list(COLUMNS)[:at], *labels, *list(COLUMNS)[at:]])
    place = {suite: i for i, suite in enumerate(dict.fromkeys(frame["suite"]))}
    order = ["suite", "opponent", "task", *labels, "seed", "unit", "start"]
    return frame.sort_values(
        order,
        kind="stable",
        ignore_index=True,
        key=lambda column: column.map(place) if column.name == "suite" else column,
    )


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
