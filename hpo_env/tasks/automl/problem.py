"""The arrays of a task: rows drawn from a table and split, targets on one scale.

Axes: R rows of one side, `D` columns, `K` scores of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets import MixedTable, load_mixed
from hpo_env.seeding import stream
from hpo_env.tasks.automl.task import TRAIN_SHARE, AutomlTask, Part, Target

Array = NDArray[np.float64]

_SHARES = (TRAIN_SHARE, 0.8)  # where training rows end, and where validation rows do
_FEWEST_OF_CLASS = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """Rows of one side of the split.

    Args:
        x: Cells `[R, D]`: numbers, or codes of categories; NaN where missing.
        y: Labels 0..K-1, or the target in deviations from the training rows' mean `[R]`.
    """

    x: Array
    y: Array

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """What a task trains on, is judged by and is tested on.

    Args:
        target: What is predicted.
        num_classes: Of the target; 1 for regression.
        is_categorical: Which columns hold codes, bool `[D]`.
        train: Rows that grow the trees.
        validation: Rows whose loss is rewarded.
        test: Rows for results.
    """

    target: Target
    num_classes: int
    is_categorical: NDArray[np.bool_]
    train: Side
    validation: Side
    test: Side

    @property
    def sides(self) -> tuple[Side, Side, Side]:
        """Training, validation and test rows."""
        return self.train, self.validation, self.test

    @property
    def num_scores(self) -> int:
        """`K`: what a model says of a row, one score for each of more than two classes."""
        return self.num_classes if self.target == "multiclass" else 1

    @property
    def base_scores(self) -> Array:
        """The best constant scores on the rows that train `[K]`."""
        y = self.train.y
        if self.target == "regression":
            return np.array([y.mean()])
        shares = np.bincount(y.astype(np.int64), minlength=self.num_classes) / len(y)
        shares = np.clip(shares, 1e-15, 1.0 - 1e-15)
        if self.target == "binary":
            return np.array([np.log(shares[1] / shares[0])])
        return np.log(shares)


def target_of(table: MixedTable) -> Target:
    """Say what a booster of a table is trained for."""
    if table.kind == "regression":
        return "regression"
    return "binary" if table.num_classes == 2 else "multiclass"


@lru_cache(maxsize=256)
def prepare(part: Part) -> Problem:
    """Make the arrays of a part of a table; equal parts give equal arrays, the latest are kept."""
    source = load_mixed(part.table)
    rng = stream(part.split_seed, "split")
    rows = rng.permutation(len(source.y))[: part.num_rows]
    columns = np.sort(rng.permutation(source.x.shape[1])[: part.num_columns])
    y, num_classes = source.y[rows], 1
    if source.kind == "classification":
        is_kept, y, num_classes = _without_rare(y)
        rows = rows[is_kept]
    parts = _split(y, is_stratified=source.kind == "classification")
    if source.kind == "regression":
        train = y[parts[0]]
        deviation = train.std()
        y = (y - train.mean()) / (deviation if deviation > 0.0 else 1.0)
    x = source.x[rows][:, columns]
    train_side, validation, test = (Side(x=x[part], y=y[part]) for part in parts)
    return Problem(
        target=target_of(source),
        num_classes=num_classes,
        is_categorical=source.is_categorical[columns],
        train=train_side,
        validation=validation,
        test=test,
    )


def _without_rare(y: Array) -> tuple[NDArray[np.bool_], Array, int]:
    """Leave out classes that are too rare to be split.

    Returns:
        Which rows are kept, the labels of those, without holes, and how many classes there are.
    """
    labels = y.astype(np.int64)
    counts = np.bincount(labels)
    frequent = np.flatnonzero(counts >= min(_FEWEST_OF_CLASS, np.sort(counts)[-2]))
    is_kept = np.isin(labels, frequent)
    return is_kept, np.searchsorted(frequent, labels[is_kept]).astype(np.float64), len(frequent)


def _split(y: Array, *, is_stratified: bool) -> list[NDArray[np.int64]]:
    """Return the places of training, validation and test rows, those of a class in proportion."""
    groups = y if is_stratified else np.zeros(len(y))
    parts: list[list[NDArray[np.int64]]] = [[], [], []]
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)
        ends = np.rint(np.array(_SHARES) * len(places)).astype(np.int64)
        for part, found in zip(parts, np.split(places, ends), strict=True):
            part.append(found)
    return [np.sort(np.concatenate(part)) for part in parts]


def problem_of(task: AutomlTask) -> Problem:
    """Make the arrays of a task."""
    return prepare(task.part)


def loss_of(problem: Problem, scores: Array, y: Array) -> float:
    """Measure scores `[R, K]` against targets `[R]`: root mean square error, or log loss."""
    if problem.target == "regression":
        return float(np.sqrt(np.mean(np.square(scores[:, 0] - y))))
    if problem.target == "binary":
        margin = np.where(y > 0.5, scores[:, 0], -scores[:, 0])
        return float(np.mean(np.logaddexp(0.0, -margin)))
    total = np.logaddexp.reduce(scores, axis=1)
    return float(np.mean(total - scores[np.arange(len(y)), y.astype(np.int64)]))


def metric_of(problem: Problem, scores: Array, y: Array) -> float:
    """Measure what people read: R² of a regression, accuracy else."""
    if problem.target == "regression":
        spread = float(np.square(y - y.mean()).mean())
        return 1.0 - float(np.square(scores[:, 0] - y).mean()) / max(spread, 1e-300)
    guess = scores[:, 0] > 0.0 if problem.target == "binary" else scores.argmax(axis=1)
    return float((guess == y).mean())
