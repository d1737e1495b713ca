"""The methods that a controlled forecaster is compared with."""

from typing import Any

import numpy as np
import pytest

from hpo_env.tasks.forecasting.opponents import (
    _smoothed,
    comb,
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


@pytest.mark.parametrize("damping", [1.0, 0.9])
def test_smoothing_is_that_of_statsmodels(damping: float) -> None:
    holt = pytest.importorskip("statsmodels.tsa.holtwinters").Holt
    z = np.cumsum(np.random.default_rng(2).normal(size=40)) + 100.0
    model = holt(
        z,
        damped_trend=damping < 1.0,
        initialization_method="known",
        initial_level=z[0] - damping * np.diff(z[:5]).mean(),
        initial_trend=np.diff(z[:5]).mean(),
    )
    fitted = model.fit(
        smoothing_level=0.4,
        smoothing_trend=0.1,
        damping_trend=damping if damping < 1.0 else None,
        optimized=False,
    )
    found = _smoothed(z, np.array([[0.4, 0.1, damping]]), 6)
    np.testing.assert_allclose(found, fitted.forecast(6), rtol=1e-3)


def test_comb_lies_between_a_level_and_a_line() -> None:
    """Of three forecasts of a straight line two go on along it: simple smoothing stays behind."""
    series = 10.0 + 2.0 * np.arange(40.0)
    found = comb([walk(series)], 3)[0]
    line = series[-1] + 2.0 * np.arange(1.0, 4.0)
    assert (found < line).all()
    assert (found > series[-1] + 0.5 * (line - series[-1])).all()


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
