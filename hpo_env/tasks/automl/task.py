"""The task of boosting: which rows and columns of which table, and how many rounds.

Axes: `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from hpo_env.tasks.base import Task

Target = Literal["regression", "binary", "multiclass"]
"""What a booster is trained for: squared errors, or the log loss of two or more classes."""

TRAIN_SHARE = 0.6
"""Of the rows, that trees grow on."""

_LARGE = 1000


class Part(NamedTuple):
    """Rows and columns of a table.

    Args:
        table: A name of `tables.table_names`.
        split_seed: Decides which rows and columns are taken, and how the rows are split.
        num_rows: Rows in use, all sides of the split together.
        num_columns: Columns in use.
    """

    table: str
    split_seed: int
    num_rows: int
    num_columns: int


@dataclass(frozen=True, kw_only=True)
class AutomlTask(Task):
    """A boosting on a part of a table.

    Args:
        table: A name of `tables.table_names`.
        target: What the table is to predict.
        split_seed: Decides which rows and columns are taken, and how the rows are split.
        num_rows: Rows in use, all sides of the split together.
        num_columns: Columns in use.
        rounds_per_decision: Boosting rounds in a decision interval.
        knows_training_loss: Whether the training loss is measured, as many users' loops do not.
    """

    table: str
    target: Target
    split_seed: int
    num_rows: int
    num_columns: int
    rounds_per_decision: int
    knows_training_loss: bool = True

    @property
    def part(self) -> Part:
        """What of its table the task is about: tasks that share it share its arrays."""
        return Part(self.table, self.split_seed, self.num_rows, self.num_columns)

    @property
    def num_train_rows(self) -> int:
        """Rows that grow trees, to one or two."""
        return round(TRAIN_SHARE * self.num_rows)

    @property
    def labels(self) -> Mapping[str, str]:
        """What settings depend on most: what is predicted, and from how many rows."""
        return {"target": self.target, "size": size_of(self.num_train_rows)}


def size_of(num_rows: int) -> str:
    """Say how large a table is: "small" below 1,000 rows that train, "large" from there on.

    Example:
        >>> size_of(999), size_of(1000)
        ('small', 'large')
    """
    return "small" if num_rows < _LARGE else "large"
