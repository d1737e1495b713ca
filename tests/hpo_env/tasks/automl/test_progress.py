"""What boosting's policies see of the rounds, beside the same written entry by entry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo_env.tasks.automl.progress import FEATURES, LOSS_FLOOR, Facts, Progress
from hpo_env.tasks.automl.task import Target

Array = NDArray[np.float64]

TARGETS: tuple[Target, ...] = ("regression", "binary", "multiclass")


def log(loss: Array) -> Array:
    return np.log(np.clip(np.where(np.isinf(loss), 1e30, loss), LOSS_FLOOR, 1e30))


def known(fall: Array) -> Array:
    return np.where(np.isnan(fall), 0.0, fall)


class EntryByEntry:
    """The entries over N lanes, each by its own formula."""

    def __init__(self, facts: list[Facts], validation: Array, train: Array) -> None:
        self.facts = facts
        self.now = self.best = log(validation)
        self.train_first = self.train = log(train)
        zero = np.zeros(len(facts))
        self.since = self.change = self.before = self.average = zero
        self.train_change = self.gap_change = zero

    def take_in(self, now: Array, best: Array, train: Array) -> None:
        now, best, train = log(now), log(best), log(train)
        change, train_change = known(self.now - now), known(self.train - train)
        self.since = np.where(best >= self.best, self.since + 1.0, 0.0)
        self.best = np.fmin(self.best, best)
        self.before, self.change, self.train_change = self.change, change, train_change
        self.average = 0.7 * self.average + (1.0 - 0.7) * change
        self.gap_change = np.where(np.isnan(train), np.nan, train_change - change)
        self.now, self.train = now, train
        self.train_first = np.where(np.isnan(self.train_first), train, self.train_first)

    def features(self) -> Array:
        def count(numbers: list[Any]) -> Array:
            return np.array([np.nan if n is None else np.log(n) for n in numbers])

        gap, facts = self.now - self.train, self.facts
        entries = [
            np.tanh((self.now - self.best) / 0.02),
            self.since / 5.0,
            np.tanh(self.change / 0.05),
            np.tanh(self.change / 0.005),
            np.tanh(self.before / 0.02),
            np.tanh(self.average / 0.01),
            np.tanh(self.train_change / 0.03),
            np.tanh((self.train_first - self.train) / 1.5),
            np.tanh(gap / 0.3),
            np.tanh(gap / 1.5),
            np.tanh(self.gap_change / 0.03),
            (count([f.num_rows for f in facts]) - np.log(1000.0)) / 3.0,
            (count([f.num_columns for f in facts]) - np.log(20.0)) / 2.5,
            np.array([-1.0 if f.target == "regression" else 1.0 for f in facts]),
            (count([max(f.num_classes, 2) for f in facts]) - np.log(2.0)) / np.log(25.0),
            (count([f.rounds_per_decision for f in facts]) - np.log(5.0)) / 1.5,
        ]
        return np.clip(np.nan_to_num(np.stack(entries, axis=1)), -1.0, 1.0)


def measured(rng: np.random.Generator, num: int) -> tuple[Array, Array, Array]:
    """Draw an interval's losses, some of which nobody measured, or are beyond all measure."""
    now, train = np.exp(rng.normal(0.0, 0.3, (2, num)))
    best = now * np.exp(-np.abs(rng.normal(0.0, 0.02, num)))
    for losses in (now, train):
        losses[rng.random(num) < 0.1] = np.nan
        losses[rng.random(num) < 0.03] = np.inf
    train[rng.random(num) < 0.03] = 0.0
    return now, np.where(np.isnan(now), np.nan, best), train


def facts(num: int) -> list[Facts]:
    some: list[Facts] = []
    for lane in range(num):
        some.append(
            Facts(
                target=TARGETS[lane % 3],
                num_rows=None if lane % 4 == 1 else 100 * (lane + 1),
                num_columns=None if lane % 4 == 2 else 3 + lane,
                num_classes=(1, 2, 7)[lane % 3],
                rounds_per_decision=2.0 + lane,
            )
        )
    return some


@pytest.mark.parametrize("num", [1, 7])
def test_entries_worked_out_together_are_those_of_their_formulas_to_the_bit(num: int) -> None:
    rng = np.random.default_rng(num)
    lanes = np.arange(num)
    for _ in range(20):
        first = measured(rng, num)
        progress = Progress(num)
        progress.begin(lanes, facts(num), first[0], first[2])
        slow = EntryByEntry(facts(num), first[0], first[2])
        for _ in range(12):
            assert progress.features().shape == (num, len(FEATURES))
            np.testing.assert_array_equal(progress.features(), slow.features())
            losses = measured(rng, num)
            progress.take_in(*losses)
            slow.take_in(*losses)


def test_a_lane_that_begins_anew_and_one_that_is_put_back_leave_the_others_alone() -> None:
    rng = np.random.default_rng(0)
    progress = Progress(3)
    progress.begin(np.arange(3), facts(3), *measured(rng, 3)[::2])
    held = progress.snapshot(np.array([1]))
    before = progress.features()
    progress.take_in(*measured(rng, 3))
    after = progress.features()
    progress.restore(np.array([1]), held)
    progress.begin(np.array([2]), facts(1), np.array([0.5]), np.array([0.4]))
    seen = progress.features()
    np.testing.assert_array_equal(seen[0], after[0])
    np.testing.assert_array_equal(seen[1], before[1])
    alone = Progress(1)
    alone.begin(np.array([0]), facts(1), np.array([0.5]), np.array([0.4]))
    np.testing.assert_array_equal(seen[2], alone.features()[0])
