"""A comparison's table as arrays: entry `e` of every opponent is the same run.

Statistics of pairs need opponents that ran on the same tasks, seeds and starts. Here they
are lined up, suite by suite; those that lack runs are named, and not averaged over fewer.

Axes: `M` opponents, `E` runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError, unknown_name

from ..comparing.records import LABEL, REFERENCE, label_names

__all__ = ["REFERENCE", "PairedRuns", "mean_by", "pair_runs", "run_columns", "task_columns"]

Array = NDArray[np.float64]


def task_columns(frame: pd.DataFrame) -> tuple[str, ...]:
    """List the columns that tell tasks of one suite apart: the name, then the labels."""
    return ("task", *(LABEL + name for name in label_names(frame)))


def run_columns(frame: pd.DataFrame) -> tuple[str, ...]:
    """List the columns that tell an opponent's runs in one suite apart."""
    return (*task_columns(frame), "seed", "unit", "start")


@dataclass(frozen=True, kw_only=True, eq=False)
class PairedRuns:
    """One suite's runs, lined up.

    Args:
        suite: Its name.
        frames: Rows of `records.COLUMNS` by opponent, the reference first; row `e` of each is the
            same run.
        left_out: Opponents that lack runs which the reference has.
    """

    suite: str
    frames: dict[str, pd.DataFrame]
    left_out: tuple[str, ...] = ()

    @property
    def opponents(self) -> tuple[str, ...]:
        """Names, M, the reference first."""
        return tuple(self.frames)

    @property
    def reference(self) -> pd.DataFrame:
        """The reference's rows, E."""
        return self.frames[REFERENCE]

    def values(self, column: str) -> Array:
        """Return a column of numbers for every opponent `[M, E]`."""
        return np.array([frame[column].to_numpy(np.float64) for frame in self.frames.values()])

    def keys(self, column: str) -> NDArray[Any]:
        """Return a column that all opponents share `[E]`."""
        return self.reference[column].to_numpy()

    @property
    def tasks(self) -> NDArray[np.str_]:
        """What each run trains, in words `[E]`: its name, and what else tells tasks apart."""
        name, *labels = task_columns(self.reference)
        all_apart = len(self.reference[[name, *labels]].drop_duplicates())
        told = [name]
        for column in labels:
            if len(self.reference[told].drop_duplicates()) < all_apart:
                told.append(column)
        rows = zip(*(self.reference[c].astype(str) for c in told), strict=True)
        return np.array([" · ".join(word for word in row if word) for row in rows])

    @property
    def updates_per_run(self) -> Array:
        """Inner updates of one run from start to end `[E]`, also where the reference diverged."""
        frame = self.reference
        intervals = np.array([sum(row) for row in frame["trial_intervals"]], dtype=np.float64)
        length = np.array([len(row) for row in frame["validation_loss"]], dtype=np.float64)
        updates: Array = frame["num_updates"].to_numpy(np.float64) / intervals * length
        return updates

    @property
    def runs_spent(self) -> Array:
        """Updates spent, in units of one run from start to end `[M, E]`."""
        return self.values("num_updates") / self.updates_per_run


def pair_runs(frame: pd.DataFrame) -> list[PairedRuns]:
    """Line the runs of every suite up with the reference's.

    Args:
        frame: A table of `records.COLUMNS`.

    Returns:
        One entry a suite, in the order in which they come.

    Raises:
        UnknownNameError: The reference is missing in a suite.
        ConfigurationError: A run is there twice, or there are none.
    """
    if not len(frame):
        raise ConfigurationError("the table of a comparison must have rows; got none")
    return [_pair(str(suite), rows) for suite, rows in frame.groupby("suite", sort=False)]


def _pair(suite: str, rows: pd.DataFrame) -> PairedRuns:
    run = list(run_columns(rows))
    by_opponent = {str(n): g.set_index(run) for n, g in rows.groupby("opponent", sort=True)}
    if REFERENCE not in by_opponent:
        raise unknown_name(f"opponent in suite {suite!r}", REFERENCE, by_opponent)
    for name, group in by_opponent.items():
        if group.index.has_duplicates:
            twice = group.index[group.index.duplicated()][0]
            raise ConfigurationError(
                f"each run must be in the table once; {name!r} has {twice} twice in {suite!r}"
            )
    wanted = by_opponent[REFERENCE].sort_index().index
    kept = {n: g.loc[wanted].reset_index() for n, g in by_opponent.items() if _has(g, wanted)}
    order = [REFERENCE, *(name for name in kept if name != REFERENCE)]
    return PairedRuns(
        suite=suite,
        frames={name: kept[name] for name in order},
        left_out=tuple(name for name in by_opponent if name not in kept),
    )


def _has(group: pd.DataFrame, wanted: pd.Index[Any]) -> bool:
    return bool(wanted.isin(group.index).all())


def mean_by(values: Array, groups: NDArray[Any]) -> tuple[tuple[str, ...], Array]:
    """Average over the runs of each group.

    Args:
        values: `[M, E]`.
        groups: `[E]`.

    Returns:
        The groups' names, sorted, and means `[M, number of groups]`.

    Example:
        >>> mean_by(np.array([[1.0, 3.0, 5.0]]), np.array(["b", "b", "a"]))
        (('a', 'b'), array([[5., 2.]]))
    """
    names = np.unique(groups)
    means = np.stack([values[:, groups == name].mean(axis=1) for name in names], axis=1)
    return tuple(str(name) for name in names), means
