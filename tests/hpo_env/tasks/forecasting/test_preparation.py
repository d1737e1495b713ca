"""What happens to a series before the walk."""

import numpy as np
import pytest

from hpo_env.tasks.forecasting.preparation import (
    MAX_PERIOD,
    classical_indices,
    has_season,
    num_decisions,
    prepare,
)

SEASON = np.array([0.8, 1.1, 1.3, 0.8])


def seasonal_series(num=40):
    return 100.0 * SEASON[np.arange(num) % 4]


def test_indices_of_an_exact_season_are_found():
    assert np.allclose(classical_indices(seasonal_series(), 4, True), SEASON)
    differences = classical_indices(seasonal_series() - 100.0, 4, False)
    assert np.allclose(differences, 100.0 * (SEASON - 1.0))


def test_what_is_left_of_an_exact_season_is_constant():
    ready = prepare(seasonal_series(), 4)
    assert ready.is_seasonal
    assert ready.is_multiplicative
    assert np.allclose(ready.values, ready.values[0])
    assert np.allclose(ready.values * ready.seasonal(0, 40) * ready.scale, seasonal_series())


def test_noise_has_no_season_and_keeps_its_values():
    noise = 100.0 + np.random.default_rng(1).normal(size=60)
    assert not has_season(noise, 12)
    ready = prepare(noise, 12)
    assert np.allclose(ready.values * ready.scale, noise)


def test_values_that_are_not_positive_make_the_season_additive():
    ready = prepare(seasonal_series() - 100.0, 4)
    assert not ready.is_multiplicative
    assert np.allclose(ready.values, 0.0)


def test_less_than_two_seasons_hold_none():
    assert not has_season(seasonal_series(8), 4)


def test_a_season_too_long_for_the_walk_counts_as_none():
    assert prepare(np.arange(500.0) + 1.0, MAX_PERIOD + 1).period == 1


@pytest.mark.parametrize("period", [1, 4, 12, 24])
@pytest.mark.parametrize("length", [5, 9, 14, 30, 66, 115, 300])
def test_decisions_fill_the_walk(length, period):
    ready = prepare(np.random.default_rng(0).normal(size=length) + 10.0, period)
    left = len(ready.values) - ready.warm_start
    assert left % ready.stride == 0
    assert left // ready.stride + 1 == ready.num_decisions
    assert ready.num_decisions == num_decisions(len(ready.values), period)
    assert ready.warm_start >= 3


def test_a_constant_series_can_be_prepared():
    ready = prepare(np.full(20, 7.0), 4)
    assert np.allclose(ready.values, 1.0)
    assert ready.naive_error > 0.0
