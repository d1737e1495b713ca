"""Which tables are drawn from, and how parts of them become tasks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from hpo_env.datasets import dataset_info, dataset_names, load_mixed
from hpo_env.datasets.rdatasets_boosting import TABLES
from hpo_env.seeding import stream
from hpo_env.tasks.automl.problem import target_of
from hpo_env.tasks.automl.task import Target
from hpo_env.tasks.base import Split

NUM_VARIANTS = 16
"""Parts that are drawn of a training table: each is prepared once in a process."""

_LEAST_ROWS, _MOST_ROWS = 500, 2500
_SHARE_WHOLE = 0.5  # of parts that keep all columns


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a table.

    Args:
        table: Its name.
        target: What is predicted.
        split_seed: Decides which rows and columns, and the split.
        num_rows: Rows in use.
        num_columns: Columns in use.
    """

    table: str
    target: Target
    split_seed: int
    num_rows: int
    num_columns: int


def table_names(split: Split) -> tuple[str, ...]:
    """List the tables of a side: the registry's, and those that only trees draw from."""
    own = tuple(table.name for table in TABLES if table.split == split)
    return tuple(sorted((*dataset_names(split=split), *own)))


def is_on(split: Split, table: str) -> bool:
    """Say whether a table lies on a side."""
    return dataset_info(table).split == split


@cache
def part(table: str, split_seed: int, *, is_whole: bool) -> Part:
    """Draw a part, a function of table and seed alone.

    Args:
        table: A name of `table_names`.
        split_seed: From 0 on.
        is_whole: Whether all rows and columns are kept.
    """
    source = load_mixed(table)
    num_rows, num_columns = source.x.shape
    if not is_whole:
        rng = stream(split_seed, "part", table)
        most = min(num_rows, _MOST_ROWS)
        num_rows = min(num_rows, round(_LEAST_ROWS * (most / _LEAST_ROWS) ** float(rng.random())))
        if rng.random() >= _SHARE_WHOLE:
            num_columns = max(
                min(2, num_columns), round(float(rng.uniform(0.5, 1.0)) * num_columns)
            )
    return Part(
        table=table,
        target=target_of(source),
        split_seed=split_seed,
        num_rows=num_rows,
        num_columns=num_columns,
    )
