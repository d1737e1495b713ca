"""The booster in NumPy: what the kernel does, as plainly as can be, and where there is no compiler.

Sums are made in the kernel's order and precision, so that both choose the same splits but where
exponentials differ in their last bits.

Axes: R rows, `K` scores of a row, `D` columns, `B` bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.automl.binning import BinnedTable, binned, linear_inputs
from hpo_env.tasks.automl.boosters import Array, Boosters, Lanes, Rounds
from hpo_env.tasks.automl.problem import loss_of, metric_of
from hpo_env.tasks.automl.space import HYPERPARAMETERS
from hpo_env.tasks.automl.task import AutomlTask, Part
from hpo_env.tasks.automl.tree import Slopes, Tree, TreeSettings

_NAMES = tuple(h.name for h in HYPERPARAMETERS)
_STATES = 2**64


@dataclass
class Generator:
    """SplitMix64, as in the kernel."""

    state: int

    def next(self) -> int:
        """Return 64 random bits."""
        self.state = (self.state + 0x9E3779B97F4A7C15) % _STATES
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % _STATES
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % _STATES
        return z ^ (z >> 31)

    def share(self) -> float:
        """Return a number evenly in [0, 1)."""
        return float((self.next() >> 11) * 2.0**-53)


@dataclass
class _Lane:
    task: AutomlTask
    table: BinnedTable
    scores: NDArray[np.float32]
    random: Generator


class ArrayBoosters(Boosters):
    """N boostings, one after the other.

    Args:
        num_lanes: `N`.
    """

    def __init__(self, num_lanes: int) -> None:
        self._lanes: list[_Lane | None] = [None] * num_lanes
        self._before: list[NDArray[np.float32]] = [np.empty((0, 1), np.float32)] * num_lanes

    def start(self, lanes: Lanes, tasks: list[AutomlTask], seeds: list[int]) -> Rounds:
        """See `Boosters.start`."""
        rows = []
        for place, task, seed in zip(lanes, tasks, seeds, strict=True):
            table = _binned(task.part)
            base = table.problem.base_scores.astype(np.float32)
            lane = _Lane(task, table, np.tile(base, (len(table.y), 1)), Generator(seed))
            self._lanes[place], self._before[place] = lane, lane.scores
            rows.append([_losses(lane)])
        return _rounds(rows)

    def advance(self, values: Array, num_rounds: NDArray[np.int64], best: Array) -> Rounds:
        """See `Boosters.advance`."""
        rows = []
        for place, (row, count) in enumerate(zip(values, num_rounds, strict=True)):
            lane = self._lane(place)
            self._before[place] = lane.scores.copy()
            named = dict(zip(_NAMES, row.tolist(), strict=True))
            losses = []
            for k in range(count):
                boost(lane, named, with_linear=k == 0 and named["linear_shrinkage"] > 0.0)
                losses.append(_losses(lane))
            rows.append(losses)
        return _rounds(rows)

    def snapshot(self, lanes: Lanes) -> list[tuple[AutomlTask, NDArray[np.float32], int]]:
        """See `Boosters.snapshot`."""
        chosen = [self._lane(place) for place in lanes]
        return [(lane.task, lane.scores.copy(), lane.random.state) for lane in chosen]

    def restore(self, lanes: Lanes, snapshot: Any) -> None:
        """See `Boosters.restore`."""
        for place, (task, scores, state) in zip(lanes, snapshot, strict=True):
            self._lanes[place] = _Lane(task, _binned(task.part), scores.copy(), Generator(state))

    def put_back(self, lanes: Lanes) -> None:
        """See `Boosters.put_back`."""
        for place in lanes:
            self._lane(int(place)).scores = self._before[place].copy()

    def _lane(self, place: int) -> _Lane:
        lane = self._lanes[place]
        assert lane is not None
        return lane


def boost(lane: _Lane, values: dict[str, float], *, with_linear: bool) -> None:
    """Do one round: a tree for each score, after a linear stage where one is wanted."""
    table = lane.table
    rows = _draw_rows(lane, values["row_fraction"])
    settings = TreeSettings(
        learning_rate=np.float32(values["learning_rate"]),
        num_leaves=max(2, int(values["num_leaves"] + 0.5)),
        min_data=max(1, int(values["min_data_in_leaf"] + 0.5)),
        l2=np.float32(values["lambda_l2"]),
    )
    if with_linear:
        for k, slopes in enumerate(_slopes(lane)):
            _add_linear(lane, k, slopes, values["linear_shrinkage"])
    for k, slopes in enumerate(_slopes(lane)):
        columns = _draw_columns(lane, values["column_fraction"])
        lane.scores[:, k] += Tree(table, settings, slopes, rows, columns).values()


def _draw_rows(lane: _Lane, share: float) -> NDArray[np.int64]:
    """Draw exactly so many training rows, each set alike (Knuth's algorithm S)."""
    total = int(lane.table.ends[1])
    wanted = max(1, int(share * total + 0.5))
    if wanted >= total:
        return np.arange(total)
    used = []
    for row in range(total):
        if lane.random.share() * (total - row) < wanted:
            used.append(row)
            wanted -= 1
    return np.array(used)


def _draw_columns(lane: _Lane, share: float) -> NDArray[np.int64]:
    columns = np.arange(lane.table.bins.shape[1])
    wanted = max(1, int(share * len(columns) + 0.5))
    if wanted >= len(columns):
        return columns
    for i in range(wanted):
        other = i + lane.random.next() % (len(columns) - i)
        columns[[i, other]] = columns[[other, i]]
    return np.sort(columns[:wanted])


def _slopes(lane: _Lane) -> list[Slopes]:
    """Differentiate the loss by each score in the training rows: those of a round, all at once."""
    problem, num_train = lane.table.problem, int(lane.table.ends[1])
    scores, y = lane.scores[:num_train], lane.table.y[:num_train]
    one = np.float32(1.0)
    if problem.target == "regression":
        return [Slopes(scores[:, 0] - y, np.ones_like(y))]
    if problem.target == "binary":
        shares = [one / (one + np.exp(-scores[:, 0]))]
        factor, labels = one, [y]
    else:
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares = list((raised / raised.sum(axis=1, keepdims=True, dtype=np.float32)).T)
        factor = np.float32(len(shares)) / np.float32(len(shares) - 1)
        labels = [(y == k).astype(np.float32) for k in range(len(shares))]
    least = np.float32(1e-6)
    return [
        Slopes(share - label, np.maximum(factor * share * (one - share), least))
        for share, label in zip(shares, labels, strict=True)
    ]


def _add_linear(lane: _Lane, k: int, slopes: Slopes, shrinkage: float) -> None:
    """Add a ridge regression of the step that Newton would take, shrunk, to score k."""
    linear = linear_inputs(lane.task.part)
    inputs, num_train = linear.inputs.astype(np.float64), int(lane.table.ends[1])
    wanted = -inputs[:num_train].T @ slopes.gradient.astype(np.float64)
    weights = np.linalg.solve(linear.factor @ linear.factor.T, wanted)
    scale = shrinkage * num_train / slopes.hessian.sum(dtype=np.float64)
    lane.scores[:, k] += (scale * (inputs @ weights)).astype(np.float32)


def _losses(lane: _Lane) -> list[float]:
    problem, ends, y = lane.table.problem, lane.table.ends, lane.table.y.astype(np.float64)
    scores = lane.scores.astype(np.float64)
    parts = [slice(*ends[side : side + 2]) for side in range(3)]
    test = parts[2]
    losses = [loss_of(problem, scores[part], y[part]) for part in parts]
    return [*losses, metric_of(problem, scores[test], y[test])]


def _rounds(rows: list[list[list[float]]]) -> Rounds:
    most = max((len(lane) for lane in rows), default=1)
    table = np.full((4, len(rows), most), np.nan)
    for place, lane in enumerate(rows):
        table[:, place, : len(lane)] = np.array(lane).T
    train, validation, test, metric = table
    return Rounds(train=train, validation=validation, test=test, test_metric=metric)


@lru_cache(maxsize=256)
def _binned(part: Part) -> BinnedTable:
    return binned(part)
