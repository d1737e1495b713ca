"""Where trees begin: at a linear model, shrunk towards the constant that is best.

Trees draw a slope in many steps. A linear model finds it at once, and what trees find after it is
added to it: LightGBM takes its scores for an initial score, XGBoost for a base margin. The whole of
it would be too much, as it has seen the rows that train the trees; what share of it is best is
measured in `docs/automl-fit-experiments.md`.

Axes: `R` rows, `D` columns, `F` features of the linear model, `K` scores of a row.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.automl.boosters import Goal
from hpo_env.automl.ensembling import loss_of_outputs, outputs_of
from hpo_env.automl.rows import Rows
from hpo_env.integrations.extras import require

Array = NDArray[np.float64]

MOST_FEATURES = 300
"""Features of a linear model, at most: its time grows with their square. Where levels of categories
would make more, the most frequent of them are features."""

MOST_CELLS = 20_000_000
"""Rows times features times scores, at most: beyond, it would take about as long as the trees."""

_MOST_DEVIATIONS = 4.0  # a cell that lies farther out counts as much as one there
_FEWEST_OF_LEVEL = 5
_LEAST_MISSING = 0.01  # share of a column from which that a cell is missing becomes a feature
_RIDGES = np.logspace(-1.0, 4.0, 11)  # the best by leave-one-out, which costs no further fits
_LEAST_SHARE = 1e-15


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """How cells become features: numbers in deviations, levels one by one, what is missing.

    Args:
        means: Of the columns `[D]`; those of codes are not used.
        deviations: Of the same `[D]`.
        levels: Of each column of codes those that are features; None for numbers.
        is_missed: Which columns have a feature for cells that are missing `[D]`.
    """

    means: Array
    deviations: Array
    levels: tuple[Array | None, ...]
    is_missed: NDArray[np.bool_]

    @classmethod
    def of(cls, x: Array, is_categorical: NDArray[np.bool_], most: int = MOST_FEATURES) -> Features:
        """Look at the rows that train.

        Args:
            x: The rows `[R, D]`.
            is_categorical: Which columns hold codes `[D]`.
            most: Features at which levels stop to be further ones.
        """
        with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
            warnings.simplefilter(
                "ignore", RuntimeWarning
            )  # of columns that are missing throughout
            means, deviations = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
        is_useful = np.isfinite(means) & np.isfinite(deviations) & (deviations > 0.0)
        is_missed = np.isnan(x).mean(axis=0) >= _LEAST_MISSING
        spare = most - int(is_missed.sum()) - int((~is_categorical).sum())
        return cls(
            means=np.where(is_useful, means, 0.0),
            deviations=np.where(is_useful, deviations, np.inf),  # all its cells become 0
            levels=_frequent(x, is_categorical, spare),
            is_missed=is_missed,
        )

    def __len__(self) -> int:
        return int(self.is_missed.sum()) + sum(
            1 if one is None else len(one) for one in self.levels
        )

    def of_rows(self, x: Array) -> Array:
        """Return the features `[R, F]` of rows `[R, D]`."""
        is_number = np.array([one is None for one in self.levels])
        cells = x[:, is_number] - self.means[is_number]
        cells /= self.deviations[is_number]
        numbers = np.clip(np.nan_to_num(cells), -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        parts = [numbers, np.isnan(x[:, self.is_missed])]
        parts += [
            x[:, place, None] == one for place, one in enumerate(self.levels) if one is not None
        ]
        return np.concatenate(parts, axis=1, dtype=np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearStart:
    """Scores from which the first tree goes on: `constant + share * (linear model - constant)`.

    Args:
        features: How cells become features.
        constant: The best constant on the rows that train `[K]`.
        offset: What the linear model says more than the constant of a row without features `[K]`.
        slopes: Of the features `[F, K]`.
        share: Of the linear model, in (0, 1].
    """

    features: Features
    constant: Array
    offset: Array
    slopes: Array
    share: float

    @classmethod
    def of(cls, goal: Goal, rows: Rows, share: float) -> LinearStart | None:
        """Fit a ridge regression, or a logistic one, to the rows that train.

        Args:
            goal: What is predicted.
            rows: That train.
            share: Of the linear model, in [0, 1].

        Returns:
            The start; None where there is none: `share` is 0, or there is too much to compute, see
            `why_not`.
        """
        if share == 0.0:
            return None
        features = Features.of(rows.x, goal.is_categorical, most_features(goal, len(rows)))
        if why_not(features, goal, len(rows)) is not None:
            return None
        design = features.of_rows(rows.x)
        centre = np.average(design, axis=0, weights=rows.weight)
        constant = best_constant(goal, rows)
        with warnings.catch_warnings():  # of a search that ends early: what it has found will do
            warnings.simplefilter("ignore")
            fitted = _regression if goal.target == "regression" else _classification
            slopes, offset = fitted(goal, rows, design - centre, constant)
        return cls(
            features=features,
            constant=constant,
            offset=offset - centre @ slopes,
            slopes=slopes,
            share=share,
        )

    def margin(self, x: Array) -> Array:
        """Return the scores `[R, K]` of rows `[R, D]`."""
        beyond = self.features.of_rows(x) @ self.slopes + self.offset
        return np.asarray(self.constant + self.share * beyond)

    def helps(self, goal: Goal, rows: Rows) -> bool:
        """Say whether it is better than the constant on rows that it was not fitted to."""
        margin = self.margin(rows.x)
        losses = [
            loss_of_outputs(goal.target, outputs_of(goal.target, scores), rows.y, rows.weight)
            for scores in (margin, np.broadcast_to(self.constant, margin.shape))
        ]
        return losses[0] < losses[1]


def most_features(goal: Goal, num_rows: int) -> int:
    """Return how many features there may be."""
    return min(MOST_FEATURES, MOST_CELLS // max(num_rows * goal.num_scores, 1))


def why_not(features: Features, goal: Goal, num_rows: int) -> str | None:
    """Say why there is no linear start; None where there may be one."""
    if not 1 <= len(features) <= MOST_FEATURES:
        return (
            f"trees begin at a constant: a linear model may have {MOST_FEATURES} features, and the "
            f"columns make {len(features)}"
        )
    cells = num_rows * len(features) * goal.num_scores
    if len(features) > most_features(goal, num_rows):
        return (
            f"trees begin at a constant: a linear model may have {MOST_CELLS:,} cells, and rows, "
            f"features and classes make {cells:,}"
        )
    return None


def best_constant(goal: Goal, rows: Rows) -> Array:
    """Return the scores of the constant that is best on rows `[K]`."""
    if goal.target == "regression":
        return np.array([np.average(rows.y, weights=rows.weight)])
    counts = np.bincount(rows.y.astype(np.int64), rows.weight, minlength=goal.num_classes)
    logs = np.log(np.clip(counts / counts.sum(), _LEAST_SHARE, 1.0))
    return np.asarray(logs[1:] - logs[:1] if goal.target == "binary" else logs - logs.mean())


def _frequent(x: Array, is_categorical: NDArray[np.bool_], most: int) -> tuple[Array | None, ...]:
    """Return the levels of each column that become features, in order; None for numbers.

    Args:
        x: Rows `[R, D]`.
        is_categorical: Which columns hold codes `[D]`.
        most: Levels of all columns together: the most frequent, and none that is rare.
    """
    places = np.flatnonzero(is_categorical)
    found = [np.unique(x[~np.isnan(x[:, k]), k], return_counts=True) for k in places]
    counts = np.concatenate([np.zeros(0), *(count for _, count in found)])
    is_kept = np.zeros(len(counts), dtype=bool)
    is_kept[np.argsort(-counts, kind="stable")[: max(most, 0)]] = True
    is_kept &= counts >= _FEWEST_OF_LEVEL
    ends = np.cumsum([len(levels) for levels, _ in found])
    parts = np.split(is_kept, ends[:-1]) if len(found) else []
    kept: list[Array | None] = [None] * len(is_categorical)
    for place, (levels, _), part in zip(places, found, parts, strict=True):
        kept[place] = levels[part]
    return tuple(kept)


def _regression(goal: Goal, rows: Rows, design: Array, constant: Array) -> tuple[Array, Array]:
    """Return slopes `[F, 1]` and offset `[1]` of a ridge regression.

    The strength is the best by leave-one-out, as `RidgeCV` of scikit-learn has it. That takes the
    singular values of all rows; those of the features' squares are found in a sixth of the time.
    """
    weight = np.ones(len(rows)) if rows.weight is None else rows.weight
    root = np.sqrt(weight)
    cells, target = design * root[:, None], (rows.y - constant[0]) * root
    squares, axes = np.linalg.eigh(cells.T @ cells)
    shrunk = 1.0 / (np.maximum(squares, 0.0)[:, None] + _RIDGES)  # [F, ridges]
    cells = cells @ axes
    along = (cells.T @ target)[:, None] * shrunk
    leverage = np.square(cells) @ shrunk + (weight / weight.sum())[:, None]
    left_out = (target[:, None] - cells @ along) / np.maximum(1.0 - leverage, _LEAST_SHARE)
    best = int(np.square(left_out).sum(axis=0).argmin())
    return (axes @ along[:, best])[:, None], np.zeros(1)


def _classification(goal: Goal, rows: Rows, design: Array, constant: Array) -> tuple[Array, Array]:
    """Return slopes `[F, K]` and offset `[K]` of a logistic regression; 0 for classes not there."""
    model: Any = require("sklearn.linear_model", extra="automl").LogisticRegression()
    model.fit(design, rows.y, sample_weight=rows.weight)
    if goal.target == "binary":
        return model.coef_.T, model.intercept_ - constant
    slopes, offset = np.zeros((design.shape[1], goal.num_scores)), np.zeros(goal.num_scores)
    there = model.classes_.astype(np.int64)
    if len(there) == 2:  # of two of the classes it knows one score, which is their difference
        slopes[:, there] = model.coef_.T * np.array([[-0.5, 0.5]])
        offset[there] = model.intercept_ * np.array([-0.5, 0.5])
    else:
        slopes[:, there] = model.coef_.T
        offset[there] = model.intercept_ - model.intercept_.mean()
    offset[there] -= constant[there] - constant[there].mean()
    return slopes, offset
