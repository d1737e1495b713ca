"""Rows of a table as a booster takes them, and their split into training and validation.

Axes: `R` rows, `D` columns, `K` scores of a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import DatasetError
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
    if len(rows) < _FEWEST:
        raise DatasetError(
            f"at least {_FEWEST} rows must be there to set some aside for validation; got "
            f"n_samples={len(rows)}. Give more, or X_val and y_val"
        )
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
        raise DatasetError(
            f"every class must have two rows or some more, to set one aside for validation; got "
            f"{len(rows)} rows of {len(np.unique(groups))} classes. Give X_val and y_val"
        )
    train = np.setdiff1d(np.arange(len(rows)), validation)
    return rows.take(train), rows.take(validation)
