from __future__ import annotations

import numpy as np
import pytest

from agents.statistics.intervals import (
    bootstrap_mean,
    interquartile_mean,
    probability_of_improvement,
)


def test_the_interquartile_mean_drops_a_quarter_at_each_end() -> None:
    values = np.array([9.0, -50.0, 1.0, 2.0, 3.0, 4.0, 70.0, 5.0])
    assert interquartile_mean(values) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_the_bootstrap_interval_of_one_stratum_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, 400)
    interval = bootstrap_mean(values, np.zeros(400), np.arange(400))
    half_width = 1.96 * values.std() / np.sqrt(400)
    assert interval.estimate == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half_width, abs=0.01)
    assert interval.high == pytest.approx(values.mean() + half_width, abs=0.01)


def test_differences_between_data_sets_add_no_width() -> None:
    strata = np.array(["a"] * 10 + ["b"] * 10)
    values = np.where(strata == "a", 0.0, 100.0)
    interval = bootstrap_mean(values, strata, np.arange(20))
    assert (interval.low, interval.estimate, interval.high) == (50.0, 50.0, 50.0)


def test_repetitions_of_a_unit_add_no_certainty() -> None:
    values = np.random.default_rng(0).normal(size=30)
    once = bootstrap_mean(values, np.zeros(30), np.arange(30))
    tenfold = bootstrap_mean(np.repeat(values, 10), np.zeros(300), np.repeat(np.arange(30), 10))
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low)


def test_strata_of_one_unit_are_pooled_so_that_they_do_not_look_certain() -> None:
    values = np.array([0.0, 1.0, 2.0, 3.0])
    singles = bootstrap_mean(values, np.array(list("abcd")), np.arange(4))
    assert singles == bootstrap_mean(values, np.zeros(4), np.arange(4))
    lone = bootstrap_mean(values, np.array(list("aaab")), np.arange(4))
    assert lone == bootstrap_mean(values, np.zeros(4), np.arange(4))


def test_one_unit_has_no_interval() -> None:
    interval = bootstrap_mean(np.array([1.0, 3.0]), np.zeros(2), np.zeros(2))
    assert interval.estimate == 2.0
    assert np.isnan([interval.low, interval.high]).all()


def test_the_interval_is_the_same_every_time() -> None:
    values = np.arange(9.0)
    first, second = (bootstrap_mean(values, values % 3, values) for _ in range(2))
    assert first == second


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng, hits = np.random.default_rng(1), 0
    for _ in range(60):
        interval = bootstrap_mean(rng.normal(size=40), np.zeros(40), np.arange(40))
        hits += interval.low <= 0.0 <= interval.high
    assert 52 <= hits <= 60


@pytest.mark.parametrize(
    ("differences", "probability"), [([1.0, 1.0], 1.0), ([0.0, 0.0], 0.5), ([-1.0, 2.0], 0.5)]
)
def test_probability_of_improvement_counts_pairs(
    differences: list[float], probability: float
) -> None:
    assert probability_of_improvement(np.array(differences)) == probability
