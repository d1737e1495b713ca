"""Few rows of a table: which class is a row of, seen a few rows of each?

A task is a named data set of classes, some of its columns and some of its classes. Columns are
brought to normal scores by their ranks in the whole table, which needs no class, and padded with
zeros to one width. The data sets of a task lie on the side of the split on which they lie
everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from statistics import NormalDist
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Split
from hpo_env.datasets.registry import dataset_names, load_dataset
from hpo_env.errors import ConfigurationError
from hpo_env.few_shot.base import Array, FewShotSource, FewShotTasks
from hpo_env.few_shot.classes import draw_tasks

NUM_COLUMNS = 16
"""Columns of a task at most."""

_FEWEST_COLUMNS = 4


class Tables(FewShotSource):
    """Tell `num_ways` classes of an unknown table apart.

    Args:
        num_ways: Classes of a task, at least 2.
        num_shots: Rows of each class to adapt to.
        num_queries: Rows of each class to be judged by.

    Raises:
        ConfigurationError: A side has no table with so many classes of so many rows.
    """

    name = "tables"
    kind = "classification"

    def __init__(self, *, num_ways: int = 2, num_shots: int = 5, num_queries: int = 10) -> None:
        super().__init__(num_shots=num_shots, num_queries=num_queries)
        if num_ways < 2:
            raise ConfigurationError(f"num_ways must be at least 2; got {num_ways}")
        self.num_ways = num_ways
        for split in ("train", "validation", "test"):
            self._usable(split)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """`(NUM_COLUMNS,)`: normal scores, and zeros where there are fewer columns."""
        return (NUM_COLUMNS,)

    @property
    def num_outputs(self) -> int:
        """`num_ways`."""
        return self.num_ways

    def sample(self, split: Split, num_tasks: int, rng: np.random.Generator) -> FewShotTasks:
        """See `FewShotSource.sample`; examples are ordered by class."""
        usable = self._usable(split)
        names = sorted(usable)
        chosen = []
        for _ in range(num_tasks):
            classes = usable[names[int(rng.integers(len(names)))]]
            num_there = classes[0].shape[1]
            most = min(num_there, NUM_COLUMNS)
            num_columns = int(rng.integers(min(_FEWEST_COLUMNS, most), most + 1))
            columns = rng.choice(num_there, size=num_columns, replace=False)
            chosen.append([_padded(rows[:, columns]) for rows in classes])
        return draw_tasks(
            rng,
            chosen,
            num_ways=self.num_ways,
            num_shots=self.num_shots,
            num_queries=self.num_queries,
        )

    def _usable(self, split: Split) -> dict[str, list[Array]]:
        """Return the classes with rows enough of each table that has enough of them."""
        needed = self.num_shots + self.num_queries
        usable = {
            name: [rows for rows in classes if len(rows) >= needed]
            for name, classes in scored_tables(split).items()
        }
        usable = {n: classes for n, classes in usable.items() if len(classes) >= self.num_ways}
        if not usable:
            raise ConfigurationError(
                f"no table of the {split} side has {self.num_ways} classes (num_ways) of {needed} "
                "rows each (num_shots + num_queries); ask for fewer"
            )
        return usable


@cache
def scored_tables(split: Split) -> Mapping[str, list[Array]]:
    """Return the rows of each class `[n, D]`, by table: normal scores of its columns."""
    tables = {}
    for name in dataset_names(split=split, kind="classification"):
        data = load_dataset(name)
        if data.image_shape is None:
            scores = _normal_scores(data.x)
            tables[name] = [scores[data.y == label] for label in range(data.num_classes)]
    return MappingProxyType(tables)


def _normal_scores(x: Array) -> Array:
    """Bring columns `[R, D]` to normal scores by rank; what is missing lies in the middle."""
    quantile = np.vectorize(NormalDist().inv_cdf)
    scores = np.zeros(x.shape, dtype=np.float32)
    for column in range(x.shape[1]):
        is_known = ~np.isnan(x[:, column])
        values, place, counts = np.unique(
            x[is_known, column], return_inverse=True, return_counts=True
        )
        if len(values) > 1:
            middle: NDArray[np.float64] = (np.cumsum(counts) - 0.5 * counts) / counts.sum()
            scores[is_known, column] = quantile(middle)[place]
    return scores


def _padded(rows: Array) -> Array:
    return np.pad(rows, ((0, 0), (0, NUM_COLUMNS - rows.shape[1])))
