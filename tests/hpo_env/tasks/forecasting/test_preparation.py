"""What happens to a series before the walk."""

from typing import Any

import numpy as np
import pytest

from hpo_env.tasks.forecasting.preparation import (
    MAX_PERIOD,
    classical_indices,
    classically_prepared,
    has_season,
    num_decisions,
    prepare,
)

SEASON = np.array([0.8, 1.1, 1.3, 0.8])


def seasonal_series(num: int = 40) -> Any:
    return 100.0 * SEASON[np.arange(num) % 4]


def test_indices_of_an_exact_season_are_found() -> None:
    assert np.allclose(classical_indices(seasonal_series(), 4, True), SEASON)
    differences = classical_indices(seasonal_series() - 100.0, 4, False)
    assert np.allclose(differences, 100.0 * (SEASON - 1.0))


def test_what_is_left_of_an_exact_season_is_constant() -> None:
    ready = prepare(seasonal_series(), 4)
    assert ready.is_seasonal
    assert ready.is_multiplicative
    assert np.allclose(ready.values, ready.values[0])
    assert np.allclose(ready.values * ready.seasonal(0, 40) * ready.scale, seasonal_series())


def test_of_noise_most_of_the_season_is_shrunk_away() -> None:
    kept = []
    for seed in range(20):
        noise = 100.0 + np.random.default_rng(seed).normal(size=60)
        ready = prepare(noise, 12)
        kept.append(ready.seasonality)
        assert np.allclose(ready.observed * ready.scale, noise)
    assert np.mean(kept) < 0.4


def test_an_exact_season_is_kept_whole() -> None:
    assert prepare(seasonal_series(), 4).seasonality == pytest.approx(1.0)


def test_a_season_on_a_line_is_found_to_both_ends() -> None:
    series = SEASON[np.arange(40) % 4] * (50.0 + 2.0 * np.arange(40))
    ready = prepare(series, 4)
    assert np.allclose(ready.values * ready.scale, 50.0 + 2.0 * np.arange(40), rtol=0.02)


def test_late_years_count_more() -> None:
    early, late = np.array([0.8, 1.1, 1.3, 0.8]), np.array([1.1, 0.9, 1.2, 0.8])
    series = 100.0 * np.concatenate([np.tile(early, 8), np.tile(late, 8)])
    found = prepare(series, 4).indices
    assert np.abs(found - late).mean() < np.abs(found - early).mean()


def test_what_is_compared_with_has_the_test_and_plain_ratios() -> None:
    noise = 100.0 + np.random.default_rng(1).normal(size=60)
    assert not has_season(noise, 12)
    plain = classically_prepared(prepare(noise, 12))
    assert np.allclose(plain.values * plain.scale, noise)
    series = seasonal_series() * np.exp(0.01 * np.random.default_rng(0).normal(size=40))
    ready = classically_prepared(prepare(series, 4))
    scaled = series / ready.scale
    assert np.allclose(ready.indices, classical_indices(scaled, 4, True))


@pytest.mark.parametrize("shift", [0.0, 100.0])
@pytest.mark.parametrize(("season", "is_factor"), [("multiplicative", True), ("additive", False)])
def test_a_season_enters_as_it_was_demanded(season: Any, is_factor: bool, shift: float) -> None:
    series = seasonal_series() + shift
    ready = prepare(series, 4, season)
    assert ready.is_multiplicative == is_factor
    assert np.allclose(ready.observed * ready.scale, series)


def test_values_that_are_not_positive_make_the_season_additive() -> None:
    ready = prepare(seasonal_series() - 100.0, 4)
    assert not ready.is_multiplicative
    assert np.allclose(ready.values, 0.0)


def test_less_than_two_seasons_hold_none() -> None:
    assert not has_season(seasonal_series(8), 4)


def test_a_season_too_long_for_the_walk_counts_as_none() -> None:
    assert prepare(np.arange(500.0) + 1.0, MAX_PERIOD + 1).period == 1


@pytest.mark.parametrize("period", [1, 4, 12, 24])
@pytest.mark.parametrize("length", [5, 9, 14, 30, 66, 115, 300])
def test_decisions_fill_the_walk(length: int, period: int) -> None:
    ready = prepare(np.random.default_rng(0).normal(size=length) + 10.0, period)
    left = len(ready.values) - ready.warm_start
    assert left % ready.stride == 0
    assert left // ready.stride + 1 == ready.num_decisions
    assert ready.num_decisions == num_decisions(len(ready.values), period)
    assert ready.warm_start >= 3


def test_a_constant_series_can_be_prepared() -> None:
    ready = prepare(np.full(20, 7.0), 4)
    assert np.allclose(ready.values, 1.0)
    assert ready.naive_error > 0.0
