"""What a booster sees of a table: bins of its columns, and inputs of its linear stages.

Both are found on the training rows alone.

Axes: R rows of all sides, one after the other, `D` columns, `P` inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.automl import problem as problems
from hpo_env.tasks.automl.problem import Problem
from hpo_env.tasks.automl.task import Part

Array = NDArray[np.float64]

MAX_BINS = 64
"""Of a column, that of what is missing included: a set of bins then fits a machine word."""

_COVERED = (
    0.99  # of the rows with a category: rarer ones share the bin of the missing, as LightGBM's
)
_RIDGE = 1.0
_LARGEST_INPUT = 8.0  # deviations: one wild cell must not decide a stage
_MOST_LEVELS = 12  # of a category, that become inputs


@dataclass(frozen=True, kw_only=True, eq=False)
class BinnedTable:
    """A problem in bins.

    Args:
        problem: What it was made of.
        bins: Bin of each cell `[R, D]`; 0 is what is missing, and rare categories.
        num_bins: Of each column, bin 0 included `[D]`.
        ends: Where training, validation and test rows begin and end `[4]`.
        y: Targets of all rows `[R]`.
    """

    problem: Problem
    bins: NDArray[np.uint8]
    num_bins: NDArray[np.int64]
    ends: NDArray[np.int64]
    y: NDArray[np.float32]


def binned(part: Part) -> BinnedTable:
    """Put a part of a table into bins."""
    found = problems.prepare(part)
    x = np.concatenate([side.x for side in found.sides])
    bins = np.zeros(x.shape, dtype=np.uint8)
    num_bins = np.ones(x.shape[1], dtype=np.int64)
    for column, is_category in enumerate(found.is_categorical):
        put = _category_bins if is_category else _number_bins
        bins[:, column], num_bins[column] = put(found.train.x[:, column], x[:, column])
    return BinnedTable(
        problem=found,
        bins=bins,
        num_bins=num_bins,
        ends=np.cumsum([0, *map(len, found.sides)]),
        y=np.concatenate([side.y for side in found.sides]).astype(np.float32),
    )


def _number_bins(train: Array, cells: Array) -> tuple[NDArray[np.uint8], int]:
    """Put numbers into bins between their values, or at quantiles where there are many."""
    known = train[~np.isnan(train)]
    values = np.unique(known)
    if len(values) < MAX_BINS:
        edges = (values[:-1] + values[1:]) / 2.0
    else:
        edges = np.unique(np.quantile(known, np.linspace(0.0, 1.0, MAX_BINS)[1:-1]))
    found = 1 + np.searchsorted(edges, cells, side="left")
    return np.where(np.isnan(cells), 0, found).astype(np.uint8), len(edges) + 2


def _category_bins(train: Array, cells: Array) -> tuple[NDArray[np.uint8], int]:
    """Give the most frequent categories a bin each, the most frequent the first."""
    levels, counts = np.unique(train[~np.isnan(train)], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    needed = 1 + int(np.searchsorted(np.cumsum(counts[order]), _COVERED * counts.sum()))
    kept = levels[order[: min(needed, MAX_BINS - 1)]]
    found = np.zeros(len(cells), dtype=np.uint8)
    for place, level in enumerate(kept):
        found[cells == level] = place + 1
    return found, len(kept) + 1


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearInputs:
    """Inputs of the linear stages.

    Args:
        inputs: Standardised numbers, frequent categories as 0 and 1, and a constant `[R, P]`.
        factor: Lower Cholesky factor of their ridge on the training rows `[P, P]`.
    """

    inputs: NDArray[np.float32]
    factor: Array


@lru_cache(maxsize=64)
def linear_inputs(part: Part) -> LinearInputs:
    """Make the inputs of linear stages."""
    found = problems.prepare(part)
    x = np.concatenate([side.x for side in found.sides])
    num_train = len(found.train)
    columns = [np.ones(len(x))]
    for column, is_category in enumerate(found.is_categorical):
        cells, train = x[:, column], found.train.x[:, column]
        if is_category:
            levels, counts = np.unique(train[~np.isnan(train)], return_counts=True)
            frequent = levels[np.argsort(-counts, kind="stable")[:_MOST_LEVELS]]
            columns += [(cells == level).astype(np.float64) for level in frequent]
        else:
            known = train[~np.isnan(train)]
            mean, deviation = (known.mean(), known.std()) if len(known) else (0.0, 0.0)
            scaled = (cells - mean) / (deviation if deviation > 1e-9 * abs(mean) else 1.0)
            clipped = np.clip(scaled, -_LARGEST_INPUT, _LARGEST_INPUT)
            columns.append(np.nan_to_num(clipped, nan=0.0))
    inputs = np.stack(columns, axis=1).astype(np.float32)
    train_inputs = inputs[:num_train].astype(np.float64)
    ridge = train_inputs.T @ train_inputs + _RIDGE * np.eye(inputs.shape[1])
    factor = np.asarray(np.linalg.cholesky(ridge), dtype=np.float64)
    return LinearInputs(inputs=inputs, factor=factor)
