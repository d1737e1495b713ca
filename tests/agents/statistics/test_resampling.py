from __future__ import annotations

import numpy as np
import pytest

from agents.statistics import intervals, resampling
from agents.statistics.resampling import Resamples


def test_the_interval_for_new_runs_is_that_of_its_twin() -> None:
    rng = np.random.default_rng(0)
    sets, units = np.repeat(np.arange(5), 8), np.repeat(np.arange(20), 2)
    values = rng.normal(size=40) + sets
    twin = intervals.bootstrap_mean(values, sets, units)
    found = Resamples.draw(sets, units).estimate(values)
    assert found.value == pytest.approx(twin.estimate)
    assert found.runs.low == pytest.approx(twin.low, abs=5e-3)
    assert found.runs.high == pytest.approx(twin.high, abs=5e-3)


def test_data_sets_that_differ_widen_the_second_interval_alone() -> None:
    sets = np.repeat([0.0, 1.0, 2.0, 3.0], 5)
    found = Resamples.draw(sets, np.arange(20)).estimate(sets)
    assert (found.runs.low, found.value, found.runs.high) == (1.5, 1.5, 1.5)
    assert found.data_sets.low < 1.0 < 2.0 < found.data_sets.high


def test_the_interval_for_new_data_sets_is_the_textbook_one_of_their_means() -> None:
    rng = np.random.default_rng(1)
    means = rng.normal(size=60)
    sets = np.repeat(np.arange(60), 4)
    values = means[sets] + np.tile([-1.0, 1.0, -2.0, 2.0], 60)  # each set's mean is as it was
    found = Resamples.draw(sets, np.arange(240)).estimate(values).data_sets
    half_width = 1.96 * means.std() / np.sqrt(60)
    assert found.low == pytest.approx(means.mean() - half_width, abs=0.03)
    assert found.high == pytest.approx(means.mean() + half_width, abs=0.03)


def test_two_data_sets_resampled_by_hand() -> None:
    # Means of aa, ab and bb are 0, 5 and 10, with probabilities 1/4, 1/2 and 1/4.
    sets = np.array(["a", "a", "b", "b"])
    resamples = Resamples.draw(sets, np.arange(4))
    assert resamples.data_sets is not None
    means = resampling.mean(np.array([0.0, 0.0, 10.0, 10.0]), resamples.data_sets)
    found, often = np.unique(means, return_counts=True)
    assert found.tolist() == [0.0, 5.0, 10.0]
    np.testing.assert_allclose(often / often.sum(), [0.25, 0.5, 0.25], atol=0.02)


def test_one_data_set_and_one_unit_have_no_interval() -> None:
    one_set = Resamples.draw(np.zeros(4), np.arange(4)).estimate(np.arange(4.0))
    assert np.isnan([one_set.data_sets.low, one_set.data_sets.high]).all()
    assert one_set.runs.low < one_set.runs.high
    one_unit = Resamples.draw(np.zeros(4), np.zeros(4)).estimate(np.arange(4.0))
    assert np.isnan([one_unit.runs.low, one_unit.runs.high]).all()
    assert one_unit.value == 1.5


def test_counted_statistics_are_those_of_the_values_written_out() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=9)
    counts = rng.integers(0, 4, size=(30, 9)).astype(np.float64)
    counts[:, 0] += 1.0
    iqm, median = resampling.interquartile_mean(values, counts), resampling.median(values, counts)
    for r, often in enumerate(counts.astype(int)):
        written_out = np.repeat(values, often)
        assert iqm[r] == pytest.approx(intervals.interquartile_mean(written_out))
        assert median[r] == np.quantile(written_out, 0.5, method="inverted_cdf")


def test_medians_of_censored_values_are_values() -> None:
    ones = np.ones((1, 4))
    assert resampling.median(np.array([3.0, 33.0, 33.0, 1.0]), ones).tolist() == [3.0]
    assert resampling.median(np.array([3.0, 33.0, 33.0, 33.0]), ones).tolist() == [33.0]


def test_every_resample_holds_as_many_units_of_each_data_set_as_there_are() -> None:
    sets, units = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 3, 4, 5])
    counts = Resamples.draw(sets, units).runs
    assert counts is not None
    assert set(counts[:, :3].sum(axis=1)) == set(counts[:, 3:].sum(axis=1)) == {3.0}
