"""A tree grown leaf by leaf on histograms, in NumPy; the kernel's `tree.hpp` and `split.hpp`.

Numbers are split at a threshold, with what is missing on the better side. A few categories are
tried one against the rest, more are ordered by their mean gradient, as in LightGBM (Ke et al. 2017,
and its manual for the constants).

Axes: R rows of all sides, `D` columns, `B` bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.automl.binning import BinnedTable

Float = np.float32
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

MOST_ALONE = 4
CATEGORY_SMOOTHING, CATEGORY_L2, LEAST_OF_GROUP = Float(10.0), Float(10.0), 100
MOST_ON_ONE_SIDE = 32
LEAST_HESSIAN = Float(1e-3)


class Slopes(NamedTuple):
    """First and second derivative of the loss by a score, in the training rows."""

    gradient: Floats
    hessian: Floats


@dataclass(frozen=True, kw_only=True)
class TreeSettings:
    """Hyperparameters of a tree; what LightGBM calls so."""

    learning_rate: Float
    num_leaves: int
    min_data: int
    l2: Float


@dataclass(frozen=True, kw_only=True)
class Split:
    """How a leaf is divided.

    Args:
        gain: Above that of no split.
        column: Of the table.
        left: Bins that go left, bool `[B]`.
        extra_l2: Of the leaves that it makes.
        sums: Of gradients, hessians and rows of the left leaf.
    """

    gain: Float
    column: int
    left: NDArray[np.bool_]
    extra_l2: Float
    sums: Floats


@dataclass(kw_only=True)
class _Leaf:
    grown: Rows
    applied: Rows
    sums: Floats
    extra_l2: Float
    histogram: Floats | None = None
    split: Split | None = None


class Tree:
    """One tree.

    Args:
        table: The rows.
        settings: How it grows.
        slopes: Of the training rows.
        rows: Training rows that it grows on.
        columns: Columns that it splits, in order.
    """

    def __init__(
        self,
        table: BinnedTable,
        settings: TreeSettings,
        slopes: Slopes,
        rows: Rows,
        columns: Rows,
    ) -> None:
        self._table, self._settings, self._columns = table, settings, columns
        self._slopes = np.stack([*slopes, np.ones_like(slopes.gradient)], axis=1)  # [R, 3]
        self._num_rows = len(table.y)
        sums = self._slopes[rows].sum(axis=0, dtype=np.float64)
        for place in range(2):  # one after the other, as the kernel sums
            sums[place] = np.add.accumulate(self._slopes[rows, place].astype(np.float64))[-1]
        root = _Leaf(
            grown=rows,
            applied=np.setdiff1d(np.arange(self._num_rows), rows),
            sums=sums.astype(Float),
            extra_l2=Float(0.0),
        )
        if self._can_be_split(root):
            root.histogram = self._collect(root.grown)
            self._find(root)
        self._leaves = [root]
        while len(self._leaves) < settings.num_leaves and self._divide_best():
            pass

    def values(self) -> Floats:
        """Return what the tree says of every row `[R]`."""
        said = np.zeros(self._num_rows, dtype=Float)
        for leaf in self._leaves:
            total = leaf.sums[1] + self._settings.l2 + leaf.extra_l2
            value = -self._settings.learning_rate * leaf.sums[0] / total
            said[leaf.grown] = said[leaf.applied] = value
        return said

    # --------------------------------------------------------------------------------- the insides

    def _can_be_split(self, leaf: _Leaf) -> bool:
        return len(leaf.grown) >= 2 * self._settings.min_data

    def _collect(self, rows: Rows) -> Floats:
        """Sum slopes by column and bin `[D, B, 3]`, row after row."""
        most = int(self._table.num_bins.max(initial=1))
        histogram = np.zeros((len(self._table.num_bins), most, 3), dtype=Float)
        for column in self._columns:
            np.add.at(histogram[column], self._table.bins[rows, column], self._slopes[rows])
        return histogram

    def _divide_best(self) -> bool:
        """Divide the leaf of the largest gain; say whether there was one."""
        splits = [
            (leaf.split.gain, -place) for place, leaf in enumerate(self._leaves) if leaf.split
        ]
        if not splits:
            return False
        place = -max(splits)[1]
        parent = self._leaves[place]
        split = parent.split
        assert split is not None
        left, right = self._children(parent, split)
        is_last = len(self._leaves) + 1 >= self._settings.num_leaves
        if not is_last and (self._can_be_split(left) or self._can_be_split(right)):
            small, large = (left, right) if len(left.grown) <= len(right.grown) else (right, left)
            assert parent.histogram is not None
            small.histogram = self._collect(small.grown)
            large.histogram = parent.histogram - small.histogram
            for leaf in (small, large):
                if self._can_be_split(leaf):
                    self._find(leaf)
        self._leaves[place] = left
        self._leaves.append(right)
        return True

    def _children(self, parent: _Leaf, split: Split) -> tuple[_Leaf, _Leaf]:
        bins = self._table.bins[:, split.column]
        leaves = []
        for is_left in (True, False):
            sums = split.sums if is_left else parent.sums - split.sums
            grown, applied = (
                rows[split.left[bins[rows]] == is_left] for rows in (parent.grown, parent.applied)
            )
            leaves.append(_Leaf(grown=grown, applied=applied, sums=sums, extra_l2=split.extra_l2))
        return leaves[0], leaves[1]

    def _find(self, leaf: _Leaf) -> None:
        """Find the best split of a leaf; of equals the first column's."""
        assert leaf.histogram is not None
        for column in self._columns:
            cells = leaf.histogram[column, : int(self._table.num_bins[column])]
            if not self._table.problem.is_categorical[column]:
                found = [self._threshold(leaf, column, cells, False)]
                if cells[0, 2] > 0.0:
                    found.append(self._threshold(leaf, column, cells, True))
            elif len(cells) - 1 <= MOST_ALONE:
                found = [self._category(leaf, column, cells)]
            else:
                found = self._categories(leaf, column, cells)
            for split in found:
                least = leaf.split.gain if leaf.split is not None else Float(0.0)
                if split is not None and split.gain > least:
                    leaf.split = split

    def _gains(self, leaf: _Leaf, left: Floats, l2: Float) -> Floats:
        """Return the gain of left leaves with sums `[n, 3]`; -inf where they are not allowed."""
        right = leaf.sums - left
        with np.errstate(divide="ignore", invalid="ignore"):
            gains = left[:, 0] * left[:, 0] / (left[:, 1] + l2)
            gains = gains + right[:, 0] * right[:, 0] / (right[:, 1] + l2)
        is_allowed = (left[:, 2] >= self._settings.min_data) & (
            right[:, 2] >= self._settings.min_data
        )
        is_allowed &= (left[:, 1] >= LEAST_HESSIAN) & (right[:, 1] >= LEAST_HESSIAN)
        own = leaf.sums[0] * leaf.sums[0] / (leaf.sums[1] + self._settings.l2)
        return np.asarray(np.where(is_allowed, gains, Float(-np.inf)) - own)

    def _threshold(
        self, leaf: _Leaf, column: int, cells: Floats, missing_left: bool
    ) -> Split | None:
        start = cells[:1] if missing_left else np.zeros((1, 3), dtype=Float)
        left = np.add.accumulate(np.concatenate([start, cells[1:]]), axis=0)[1:]
        if not len(left):
            return None
        gains = self._gains(leaf, left, self._settings.l2)
        place = int(gains.argmax())
        bins = np.arange(len(cells)) <= place + 1
        bins[0] = missing_left
        return Split(
            gain=gains[place], column=column, left=bins, extra_l2=Float(0.0), sums=left[place]
        )

    def _category(self, leaf: _Leaf, column: int, cells: Floats) -> Split | None:
        if len(cells) < 2:
            return None
        gains = self._gains(leaf, cells[1:], self._settings.l2)
        place = 1 + int(gains.argmax())
        bins = np.arange(len(cells)) == place
        return Split(
            gain=gains[place - 1],
            column=column,
            left=bins,
            extra_l2=Float(0.0),
            sums=cells[place],
        )

    def _categories(self, leaf: _Leaf, column: int, cells: Floats) -> list[Split | None]:
        frequent = 1 + np.flatnonzero(cells[1:, 2] >= CATEGORY_SMOOTHING)
        mean = cells[frequent, 0] / (cells[frequent, 1] + CATEGORY_SMOOTHING)
        order = frequent[np.argsort(mean, kind="stable")]
        l2 = self._settings.l2 + CATEGORY_L2
        found: list[Split | None] = []
        for direction in (order, order[::-1]):
            sums, group = np.zeros(3, dtype=Float), 0.0
            bins = np.zeros(len(cells), dtype=bool)
            for place in direction[: min(MOST_ON_ONE_SIDE, (len(order) + 1) // 2)]:
                sums = sums + cells[place]
                group += cells[place, 2]
                bins[place] = True
                if sums[2] < self._settings.min_data or sums[1] < LEAST_HESSIAN:
                    continue
                right = leaf.sums - sums
                if right[2] < max(self._settings.min_data, LEAST_OF_GROUP):
                    break
                if right[1] < LEAST_HESSIAN:
                    break
                if group < LEAST_OF_GROUP:
                    continue
                group = 0.0
                gain = self._gains(leaf, sums[None], l2)[0]
                found.append(
                    Split(
                        gain=gain,
                        column=column,
                        left=bins.copy(),
                        extra_l2=l2 - self._settings.l2,
                        sums=sums,
                    )
                )
        return found
