"""The walk: kernel and twin agree, and both are the published recursions."""

from typing import Any

import numpy as np
import pytest

from hpo_env.tasks.forecasting.layout import (
    FAR,
    FEATURES,
    HYPERPARAMETERS,
    MAX_LAGS,
    SLICES,
    SMOOTHERS,
)
from hpo_env.tasks.forecasting.native.kernel import Kernel
from hpo_env.tasks.forecasting.trainer import Walks, walk_of

DEFAULTS = {
    "level": 0.4,
    "trend": 0.1,
    "seasonal": 0.2,
    "damping": 0.9,
    "drift": 0.0,
    "lags": 2.0,
    "ridge": 5.0,
    "regression_share": 0.0,
}
NUM = len(HYPERPARAMETERS)


def values_of(**changed: Any) -> Any:
    named = DEFAULTS | changed
    return np.array([[named[name] for name in HYPERPARAMETERS]])


def random_walks(num: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    walks = []
    for k in range(num):
        period = (1, 4, 12)[k % 3]
        length = int(rng.integers(max(6, 3 * period), 90))
        season = rng.uniform(0.5, 1.5, period)[np.arange(length + 8) % period]
        series = season * np.exp(np.cumsum(0.05 * rng.normal(size=length + 8)))
        series = series - (1.0 if k % 5 == 0 else 0.0)  # some are additive
        walks.append(walk_of(series[:length], period, series[length:]))
    return walks


def run(walks: Any, kernel: Any, moves: Any) -> Any:
    """Walk to the end under values that change at every decision."""
    lanes = np.arange(len(walks))
    walking = Walks(len(walks), kernel)
    walking.start(lanes, walks, [8] * len(walks), moves[0])
    for values in moves:
        walking.values = np.ascontiguousarray(values)
        left = walking.fact("length") - walking.age
        walking.take_in(lanes, np.minimum(walking.fact("stride"), left))
    return walking


def random_moves(num: Any, steps: Any, seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.05, 0.95, (steps, num, NUM))
    values[..., HYPERPARAMETERS.index("lags")] = rng.integers(1, MAX_LAGS + 1, (steps, num))
    values[..., HYPERPARAMETERS.index("ridge")] *= 50.0
    return values


def test_kernel_and_twin_agree_in_state_forecasts_errors_and_features() -> None:
    walks, moves = random_walks(12), random_moves(12, 40)
    fast, plain = (run(walks, kernel, moves) for kernel in (Kernel(), None))
    lanes = np.arange(12)
    np.testing.assert_allclose(fast.state, plain.state, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fast.features(), plain.features(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fast.log_ratio(lanes), plain.log_ratio(lanes), atol=1e-9)
    for a, b in zip(fast.forecast(lanes, 20), plain.forecast(lanes, 20), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.parametrize("engine", [Kernel, lambda: None], ids=["kernel", "twin"])
def test_a_walk_does_not_depend_on_its_neighbours(engine: Any) -> None:
    walks, moves = random_walks(6), random_moves(6, 30)
    together = run(walks, engine(), moves)
    for lane in range(6):
        alone = run(walks[lane : lane + 1], engine(), moves[:, lane : lane + 1])
        assert np.array_equal(alone.state[0], together.state[lane])
        assert np.array_equal(alone.features()[0], together.features()[lane])


def test_features_are_bounded_and_named() -> None:
    found = run(random_walks(12), Kernel(), random_moves(12, 40)).features()
    assert found.shape == (12, len(FEATURES))
    assert (np.abs(found) <= 1.0).all()


def test_features_know_nothing_of_what_was_not_taken_in() -> None:
    (one,) = random_walks(3)[2:]
    values = values_of()
    seen = Walks(1, Kernel())
    seen.start(np.array([0]), [one], [8], values)
    before = seen.features()
    seen.series[0, int(seen.age[0]) :] = 1e6
    assert np.array_equal(seen.features(), before)


def known_walk(series: Any, period: Any, values: Any) -> Any:
    """Take in a whole series under constant values, without the classical season."""
    one = walk_of(series, period, np.zeros(0))
    walking = Walks(1, Kernel())
    walking.start(np.array([0]), [one], [1], values)
    walking.take_in(np.array([0]), walking.fact("length") - walking.age)
    return one, walking


def test_smoothing_is_the_damped_trend_of_statsmodels() -> None:
    holtwinters = pytest.importorskip("statsmodels.tsa.holtwinters")
    series = 50.0 + np.cumsum(np.random.default_rng(2).normal(size=40)) * 3.0
    one, walking = known_walk(series, 1, values_of())
    z = one.prepared.values
    model = holtwinters.ExponentialSmoothing(
        z[1:],
        trend="add",
        damped_trend=True,
        initialization_method="known",
        initial_level=z[0],
        initial_trend=0.0,
    )
    # Its smoothing factor of the trend is that of the level's change: `beta / alpha` there.
    fitted = model.fit(smoothing_level=0.4, smoothing_trend=0.1, damping_trend=0.9, optimized=False)
    own, _ = walking.forecast(np.array([0]), 10)
    np.testing.assert_allclose(own[0], fitted.forecast(10), rtol=1e-9)


@pytest.mark.parametrize("is_factor", [True, False])
def test_seasonal_smoothing_is_that_of_statsmodels(is_factor: bool) -> None:
    holtwinters = pytest.importorskip("statsmodels.tsa.holtwinters")
    rng = np.random.default_rng(3)
    season = np.array([0.9, 1.2, 1.0, 0.9])[np.arange(48) % 4]
    series = season * (20.0 + np.cumsum(rng.normal(size=48)))
    series = series if is_factor else series - 25.0
    one, walking = known_walk(series, 4, values_of())
    assert one.prepared.is_seasonal
    assert one.prepared.is_multiplicative == is_factor
    z = one.prepared.values
    first = 1.0 if is_factor else 0.0
    model = holtwinters.ExponentialSmoothing(
        z[1:],
        trend="add",
        damped_trend=True,
        seasonal="mul" if is_factor else "add",
        seasonal_periods=4,
        initialization_method="known",
        initial_level=z[0],
        initial_trend=0.0,
        initial_seasonal=np.full(4, first),
    )
    fitted = model.fit(
        smoothing_level=0.4,
        smoothing_trend=0.1,
        smoothing_seasonal=0.2,
        damping_trend=0.9,
        optimized=False,
    )
    # The states, because its forecasts take one season's index from a season too early where the
    # sample does not end with a season.
    seasons = np.roll(fitted.season[-4:], len(z) % 4)
    for name, expected in (("level", fitted.level[-1]), ("slope", fitted.trend[-1])):
        assert walking.state[0, SLICES[name]][0] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(walking.state[0, SLICES["seasonal"]][:4], seasons, rtol=1e-9)


def test_autoregression_is_ridge_regression_of_the_changes() -> None:
    series = 50.0 + np.cumsum(np.random.default_rng(4).normal(size=60))
    one, walking = known_walk(series, 1, values_of(regression_share=1.0, lags=3.0, ridge=4.0))
    z = one.prepared.values
    changes = np.diff(z)
    padded = np.concatenate([np.zeros(3), changes])
    x = np.stack([*(padded[2 - k : -1 - k] for k in range(3)), np.ones(len(changes))], axis=1)
    variance = np.mean(changes**2) + 1e-9
    penalty = 4.0 * np.diag([variance] * 3 + [1.0])
    weights = np.linalg.solve(x.T @ x + penalty, x.T @ changes)
    following = z[-1] + weights @ [*changes[:-4:-1], 1.0]
    own, _ = walking.forecast(np.array([0]), 1)
    assert own[0, 0] == pytest.approx(following, rel=1e-9)


def test_drift_is_a_share_of_the_slope_of_the_line() -> None:
    series = 10.0 + 2.0 * np.arange(30.0)
    one, walking = known_walk(series, 1, values_of(level=0.5, trend=0.0, drift=1.0))
    own, _ = walking.forecast(np.array([0]), 5)
    slope = 2.0 / one.prepared.scale
    assert np.allclose(np.diff(own[0]), slope, atol=0.2 * slope)


def test_far_errors_are_those_of_forecasts_whose_observation_has_come() -> None:
    series = 50.0 + np.cumsum(np.random.default_rng(5).normal(size=30))
    one = walk_of(series, 1, np.zeros(0))
    z, values = one.prepared.values, values_of()
    walking = Walks(1, Kernel())
    walking.start(np.array([0]), [one], [1], values)
    made, lanes = {}, np.array([0])
    while walking.age[0] < len(z):
        walking.take_in(lanes, np.array([1]))
        made[int(walking.age[0])] = walking.forecast(lanes, FAR)[0][0, -1]
    due = [abs(z[age + FAR - 1] - f) for age, f in made.items() if age + FAR - 1 < len(z)]
    state = walking.state[0]
    first_live = one.prepared.warm_start + 1  # made by the first observation after the warm start
    assert first_live in made
    assert state[SLICES["far_count"]][0] == len(due)
    assert state[SLICES["own_far"]][0] == pytest.approx(sum(due), rel=1e-9)


def test_the_measure_is_relative_to_the_mean_of_the_fixed_smoothers() -> None:
    (one,) = random_walks(3)[1:2]
    walking = Walks(1, None)
    lanes, values = np.array([0]), values_of(drift=0.3)
    walking.start(lanes, [one], [5], values)
    own, reference = walking.forecast(lanes, 5)
    ready, age = one.prepared, int(walking.age[0])
    season = ready.seasonal(age, 5)
    actual = ready.values[age : age + 5] * season

    def error(forecast: Any) -> Any:
        size = np.abs(actual - forecast * season)
        symmetric = 2.0 * size / (np.abs(actual) + np.abs(forecast * season) + 1e-6)
        return (size.mean() / ready.naive_error + 0.1) * np.sqrt(symmetric.mean() + 0.01)

    expected = np.log(error(own[0]) / error(reference[0]))
    assert walking.log_ratio(lanes)[0] == pytest.approx(expected)


def test_nothing_that_is_set_changes_the_reference() -> None:
    walks = random_walks(12)
    one, other = (run(walks, Kernel(), random_moves(12, 40, seed)) for seed in (1, 2))
    lanes = np.arange(12)
    assert not np.array_equal(one.forecast(lanes, 9)[0], other.forecast(lanes, 9)[0])
    assert np.array_equal(one.forecast(lanes, 9)[1], other.forecast(lanes, 9)[1])


def test_the_reference_is_the_mean_of_ten_smoothers_that_start_as_means() -> None:
    series = 50.0 + np.cumsum(np.random.default_rng(7).normal(size=25))
    one, walking = known_walk(series, 1, values_of())
    expected = np.zeros(3)
    for alpha, beta, phi in SMOOTHERS:
        level, slope = one.prepared.values[0], 0.0
        for t, z in enumerate(one.prepared.values[1:], start=1):
            rate, base = max(alpha, 1.0 / (t + 1.0)), level + phi * slope
            new = rate * z + (1.0 - rate) * base
            slope = beta * (new - level) + (1.0 - beta) * phi * slope
            level = new
        expected += level + np.cumsum(phi ** np.arange(1, 4)) * slope
    _, reference = walking.forecast(np.array([0]), 3)
    np.testing.assert_allclose(reference[0], expected / len(SMOOTHERS), rtol=1e-9)
