"""Which tables are drawn from, and how parts of them become tasks."""

from __future__ import annotations

from functools import cache

from hpo_env.datasets import dataset_names, load_mixed
from hpo_env.datasets.rdatasets_boosting import TABLES
from hpo_env.seeding import stream
from hpo_env.tasks.automl.problem import target_of
from hpo_env.tasks.automl.task import Part, Target
from hpo_env.tasks.base import Split

NUM_VARIANTS = 16
"""Parts that are drawn of a table: each is prepared once in a process."""

MOST_ROWS = 2500
"""Rows of a part outside of the test side: more cost time, and teach little that fewer do not."""

_LEAST_ROWS = 500
_SHARE_WHOLE = 0.5  # of parts that keep all columns


def table_names(split: Split) -> tuple[str, ...]:
    """List the tables of a side: the registry's, and those that only trees draw from."""
    own = tuple(table.name for table in TABLES if table.split == split)
    return tuple(sorted((*dataset_names(split=split), *own)))


@cache
def draw_part(table: str, split_seed: int, *, most_rows: int | None, is_varied: bool) -> Part:
    """Draw a part of a table, a function of the arguments alone.

    Args:
        table: A name of `table_names`.
        split_seed: From 0 on.
        most_rows: Rows that are kept at most; None: all.
        is_varied: Whether fewer are drawn, and at times some of the columns.
    """
    num_rows, num_columns = load_mixed(table).x.shape
    num_rows = num_rows if most_rows is None else min(num_rows, most_rows)
    if is_varied:
        rng = stream(split_seed, "part", table)
        least = min(_LEAST_ROWS, num_rows)
        num_rows = round(least * (num_rows / least) ** float(rng.random()))
        if rng.random() >= _SHARE_WHOLE:
            share = float(rng.uniform(0.5, 1.0))
            num_columns = max(min(2, num_columns), round(share * num_columns))
    return Part(table, split_seed, num_rows, num_columns)


@cache
def target_of_table(table: str) -> Target:
    """Say what a booster of a table is trained for."""
    return target_of(load_mixed(table))
