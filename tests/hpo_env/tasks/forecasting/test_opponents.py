"""The methods that a controlled forecaster is compared with."""

from typing import Any

import numpy as np
import pytest

from hpo_env.tasks.forecasting.opponents import (
    constants,
    naive2,
    seasonal_naive,
    theta,
    trigg_leach,
)
from hpo_env.tasks.forecasting.trainer import walk_of

SEASON = np.array([0.8, 1.1, 1.3, 0.8])


def walk(values: Any, period: int = 1) -> Any:
    return walk_of(np.asarray(values, dtype=float), period, np.zeros(0))


def test_naive_methods_repeat_an_exact_season() -> None:
    series = 50.0 * SEASON[np.arange(40) % 4]
    for method in (seasonal_naive, naive2):
        np.testing.assert_allclose(
            method([walk(series, 4)], 6)[0], 50.0 * SEASON[[0, 1, 2, 3, 0, 1]]
        )


def test_without_a_season_the_last_value_is_repeated() -> None:
    series = np.cumsum(np.random.default_rng(0).normal(size=30)) + 50.0
    for method in (seasonal_naive, naive2):
        assert method([walk(series)], 3)[0] == pytest.approx([series[-1]] * 3)


def test_theta_adds_half_of_the_slope_of_a_straight_line() -> None:
    series = 10.0 + 2.0 * np.arange(40.0)
    found = theta([walk(series)], 4)[0]
    assert np.diff(found) == pytest.approx([1.0] * 3, rel=1e-6)
    assert found[0] == pytest.approx(series[-1] + 1.0, rel=0.02)


def test_theta_is_that_of_statsmodels() -> None:
    forecasting = pytest.importorskip("statsmodels.tsa.forecasting.theta")
    series = np.cumsum(np.random.default_rng(2).normal(size=80)) + 100.0
    model = forecasting.ThetaModel(series, period=1, deseasonalize=False)
    expected = np.asarray(model.fit(disp=False).forecast(6, theta=2))
    np.testing.assert_allclose(theta([walk(series)], 6)[0], expected, rtol=0.01)


def test_constants_do_not_move() -> None:
    series = np.cumsum(np.random.default_rng(0).normal(size=30)) + 50.0
    assert np.isfinite(constants([walk(series)], 3)).all()


def test_trigg_and_leach_is_their_recursion() -> None:
    z = 50.0 + np.cumsum(np.random.default_rng(3).normal(size=30))
    level, smoothed, size = z[0], 0.0, 0.0
    for value in z[1:]:
        error = value - level
        smoothed, size = 0.2 * error + 0.8 * smoothed, 0.2 * abs(error) + 0.8 * size
        level = level + abs(smoothed / size) * error
    assert trigg_leach([walk(z)], 2)[0] == pytest.approx([level] * 2)
