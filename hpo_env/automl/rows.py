"""Rows of a table as a booster takes them, and their split into training and validation.

Axes: `R` rows, `D` columns, `K` scores of a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError, DatasetError
from hpo_env.integrations.boosting import Labels

Array = NDArray[np.float64]

_FEWEST = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Some rows.

    Args:
        x: Numbers and codes `[R, D]`; NaN where missing.
        y: Labels 0..K-1, or the target in deviations from its mean `[R]`.
        weight: Of each row `[R]`; None: all alike.
        margin: Scores that the first tree begins from `[R, K]`; None: a constant of the library's.
    """

    x: Array
    y: Array
    weight: Array | None = None
    margin: Array | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def labels(self) -> Labels:
        """What is predicted."""
        return Labels(y=self.y, weight=self.weight)

    def beginning_at(self, margin: Array | None) -> Rows:
        """Return the same rows with other scores to begin from."""
        return replace(self, margin=margin)

    def take(self, places: NDArray[np.int64]) -> Rows:
        """Return some of the rows, without scores to begin from."""
        weight = None if self.weight is None else self.weight[places]
        return Rows(x=self.x[places], y=self.y[places], weight=weight)

    def and_also(self, other: Rows) -> Rows:
        """Return the rows of both, without scores to begin from."""
        weight = None
        if self.weight is not None or other.weight is not None:
            weight = np.concatenate([_weights(self), _weights(other)])
        x = np.concatenate([self.x, other.x])
        return Rows(x=x, y=np.concatenate([self.y, other.y]), weight=weight)


def checked_weights(sample_weight: Any, num_rows: int) -> Array | None:
    """Check weights of rows.

    Args:
        sample_weight: As a user gives them: one for each row, one for all, or None.
        num_rows: `R`.

    Returns:
        The weights `[R]`; None where all rows are alike.

    Raises:
        ConfigurationError: They are negative or all 0, or as many as there are rows are not given.
    """
    if sample_weight is None:
        return None
    try:
        weight = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"sample_weight must hold numbers: {error}") from error
    if weight.ndim == 0:
        weight = np.full(num_rows, float(weight))
    if weight.shape != (num_rows,):
        raise ConfigurationError(
            f"sample_weight must have a number for each of the {num_rows} rows; got shape "
            f"{weight.shape}"
        )
    if not (np.isfinite(weight).all() and (weight >= 0.0).all() and weight.any()):
        raise ConfigurationError(
            "sample_weight must be finite numbers from 0 on, and no weights are all zero; got "
            f"{float(np.min(weight)):g} to {float(np.max(weight)):g}"
        )
    return weight


def _weights(rows: Rows) -> Array:
    return np.ones(len(rows)) if rows.weight is None else rows.weight


def split(
    rows: Rows, share: float, rng: np.random.Generator, *, is_stratified: bool
) -> tuple[Rows, Rows]:
    """Set rows aside for validation.

    Args:
        rows: All.
        share: Of them that is set aside, in (0, 1).
        rng: Chooses which.
        is_stratified: Whether each class is split in proportion; one row of each trains at least.

    Returns:
        Rows that train, and those that validate.

    Raises:
        DatasetError: They are too few.
    """
    _check_enough(rows)
    groups = rows.y if is_stratified else np.zeros(len(rows))
    aside: list[NDArray[np.int64]] = []
    for group in np.unique(groups):
        places = rng.permutation(np.flatnonzero(groups == group))
        aside.append(places[: min(round(share * len(places)), len(places) - 1)])
    validation = np.sort(np.concatenate(aside))
    if not len(validation):  # many classes of a row or two: any that leaves one to train
        counts = {group: int((groups == group).sum()) for group in np.unique(groups)}
        spare = np.array([counts[group] > 1 for group in groups])
        validation = rng.permutation(np.flatnonzero(spare))[:1]
    if not len(validation):
        raise _no_spare_rows(rows)
    return _sides(rows, validation)


def folds(
    rows: Rows, share: float, num_parts: int, rng: np.random.Generator, *, is_stratified: bool
) -> list[tuple[Rows, Rows]]:
    """Set other rows aside for each of several runs, every row about equally often.

    Args:
        rows: All.
        share: Of them that is set aside each time, in (0, 1); the rows are divided into as many
            parts as come nearest to it, two at least, and anew when all parts are used up.
        num_parts: How many times.
        rng: Chooses which.
        is_stratified: Whether each class is divided in proportion; one row of each trains always.

    Returns:
        Rows that train, and those that validate, `num_parts` times.

    Raises:
        DatasetError: They are too few.
    """
    _check_enough(rows)
    groups = rows.y if is_stratified else np.zeros(len(rows))
    found: list[tuple[Rows, Rows]] = []
    while len(found) < num_parts:
        orders = [rng.permutation(np.flatnonzero(groups == group)) for group in np.unique(groups)]
        # Row after row goes to the next part, so that the rows of a class go to different ones.
        dealt = np.concatenate([order for order in orders if len(order) > 1] or [orders[0][:0]])
        if not len(dealt):
            raise _no_spare_rows(rows)
        count = min(max(round(1.0 / share), 2), len(dealt))
        parts = [np.sort(dealt[first::count]) for first in range(count)]
        found += [_sides(rows, part) for part in parts[: num_parts - len(found)]]
    return found


def _sides(rows: Rows, validation: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """Return the rows that train, and those at the places of validation."""
    train = np.setdiff1d(np.arange(len(rows)), validation)
    return rows.take(train), rows.take(validation)


def _check_enough(rows: Rows) -> None:
    if len(rows) < _FEWEST:
        raise DatasetError(
            f"at least {_FEWEST} rows must be there to set some aside for validation; got "
            f"n_samples={len(rows)}. Give more, or X_val and y_val"
        )


def _no_spare_rows(rows: Rows) -> DatasetError:
    return DatasetError(
        f"every class must have two rows or some more, to set one aside for validation; got "
        f"{len(rows)} rows of {len(np.unique(rows.y))} classes. Give X_val and y_val"
    )
