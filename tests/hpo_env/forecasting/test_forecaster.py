"""A forecaster of one series, in statsforecast's protocol."""

from typing import Any

import numpy as np
import pytest

from hpo_env.errors import ConfigurationError, DatasetError, PolicyFileError, UnknownNameError
from hpo_env.forecasting import ControlledForecaster
from hpo_env.tasks.forecasting.preparation import Season
from hpo_env.tasks.forecasting.starts import start_of

ERRORS = (ConfigurationError, DatasetError)


def monthly(num: int = 72, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    season = 1.0 + 0.2 * np.sin(np.arange(num) * np.pi / 6.0)
    return 100.0 * season * np.exp(np.cumsum(0.02 * rng.normal(size=num)))


@pytest.fixture
def make(folder: str) -> Any:
    return lambda season_length=12: ControlledForecaster(season_length, policy=folder)


def test_fit_and_predict_are_forecast(make: Any) -> None:
    y = monthly()
    in_two = make().fit(y).predict(18, level=[80, 95])
    in_one = make().forecast(y, 18, level=[80, 95])
    other = make().fit(monthly(seed=1)).forward(y, 18, level=[80, 95])
    assert list(in_two) == ["mean", "lo-80", "hi-80", "lo-95", "hi-95"]
    for name, values in in_two.items():
        assert values.shape == (18,)
        assert np.array_equal(values, in_one[name])
        assert np.array_equal(values, other[name])


def test_intervals_hold_the_mean_and_those_of_higher_levels_hold_the_others(make: Any) -> None:
    found = make().forecast(monthly(), 18, level=[80, 95])
    assert (found["lo-95"] <= found["lo-80"]).all()
    assert (found["lo-80"] < found["mean"]).all()
    assert (found["hi-80"] <= found["hi-95"]).all()
    widths = found["hi-95"] - found["lo-95"]
    assert (np.diff(widths) >= -1e-9).all()


def test_a_forecast_scales_with_the_series(make: Any) -> None:
    y = monthly()
    one, thousand = make().forecast(y, 6)["mean"], make().forecast(1000.0 * y, 6)["mean"]
    np.testing.assert_allclose(thousand, 1000.0 * one, rtol=1e-6)


def test_new_has_seen_nothing(make: Any) -> None:
    fresh = make().fit(monthly()).new()
    assert fresh.season_length == 12
    with pytest.raises(ConfigurationError, match="fit"):
        fresh.predict(3)


def test_explain_tells_the_course(make: Any) -> None:
    explanation = make().fit(monthly()).explain()
    assert explanation.course.shape[1] == len(explanation.names)
    assert "regression_share" in str(explanation)


@pytest.mark.parametrize(
    ("y", "match"),
    [
        ([], "no observation"),
        ([np.nan, np.nan], "no observation"),
        ([1.0, np.inf, 2.0], "infinite"),
        (["a", "b"], "numbers"),
        ([[1.0, 2.0]], "one row"),
    ],
)
def test_series_that_cannot_be_used_are_refused(make: Any, y: Any, match: str) -> None:
    with pytest.raises(DatasetError, match=match):
        make(1).fit(y)


@pytest.mark.parametrize("h", [0, -1, 1.5, True])
def test_a_horizon_that_cannot_be_is_refused(make: Any, h: Any) -> None:
    with pytest.raises(ConfigurationError, match="horizon"):
        make().fit(monthly()).predict(h)


@pytest.mark.parametrize("level", [[0], [100], [0.95]])
def test_a_level_that_cannot_be_is_refused(make: Any, level: Any) -> None:
    with pytest.raises(ConfigurationError, match="levels"):
        make().fit(monthly()).predict(3, level=level)


def test_regressors_are_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError, match="exogenous"):
        make().fit(monthly(), np.ones((72, 1)))
    with pytest.raises(ConfigurationError, match="exogenous"):
        make().forecast(monthly(), 3, X_future=np.ones((3, 1)))


@pytest.mark.parametrize("season_length", [0, 1.5, True, [], [1, 12], [4, 4], [12, 0.5]])
def test_a_season_that_cannot_be_is_refused(folder: str, season_length: Any) -> None:
    with pytest.raises(ConfigurationError, match="season_length"):
        ControlledForecaster(season_length, policy=folder)


def test_a_policy_that_is_not_there_is_named() -> None:
    with pytest.raises(PolicyFileError, match="nowhere"):
        ControlledForecaster(policy="nowhere")


def test_a_short_series_repeats_its_last_value_and_warns(make: Any) -> None:
    with pytest.warns(UserWarning, match="too few"):
        found = make(1).forecast([1.0, 3.0, 2.0], 4, level=[95])
    assert found["mean"].tolist() == [2.0] * 4
    assert (found["hi-95"] > 2.0).all()


def test_a_series_too_short_for_its_season_has_none_and_warns(make: Any) -> None:
    with pytest.warns(UserWarning, match="season of 12"):
        found = make(12).forecast(monthly(20), 4)
    assert np.isfinite(found["mean"]).all()


def test_a_constant_series_has_a_constant_forecast_of_no_width(make: Any) -> None:
    found = make(12).forecast(np.full(40, 7.0), 4, level=[95])
    for name in ("mean", "lo-95", "hi-95"):
        assert found[name].tolist() == [7.0] * 4


def test_a_few_missing_observations_are_filled_and_many_are_told(make: Any) -> None:
    y = monthly()
    y[[5, 30]] = np.nan
    assert np.isfinite(make().forecast(y, 4)["mean"]).all()
    y[20:40] = np.nan
    with pytest.warns(UserWarning, match="missing"):
        make().forecast(y, 4)


def test_missing_ones_at_the_start_are_left_out(make: Any) -> None:
    y = monthly()
    padded = np.concatenate([np.full(12, np.nan), y])
    assert np.array_equal(make().forecast(padded, 4)["mean"], make().forecast(y, 4)["mean"])


def test_values_that_are_not_positive_can_be_forecast(make: Any) -> None:
    found = make().forecast(monthly() - 100.0, 12, level=[95])
    assert all(np.isfinite(values).all() for values in found.values())


def two_seasons(num: int = 200, is_factor: bool = False) -> Any:
    time = np.arange(num)
    season = 0.2 * np.sin(time * np.pi / 3.5) + 0.1 * np.cos(time * np.pi / 14.0)
    return 100.0 * np.exp(season) if is_factor else 100.0 + 100.0 * season


@pytest.mark.parametrize("is_factor", [False, True])
def test_several_seasons_are_taken_out_and_put_back(folder: str, is_factor: bool) -> None:
    pytest.importorskip("statsmodels")
    y = two_seasons(256, is_factor)
    season: Season = "multiplicative" if is_factor else "auto"
    one = ControlledForecaster([28, 7], season=season, policy=folder)
    found = one.forecast(y[:200], 56, level=[80])
    assert one.new().seasons == (7, 28)
    assert np.abs(found["mean"] - y[200:]).mean() < 2.0  # the seasons alone move by 16
    assert (found["lo-80"] <= found["mean"]).all()
    assert (found["mean"] <= found["hi-80"]).all()


def test_a_season_that_does_not_fit_in_is_left_in_and_told(folder: str) -> None:
    pytest.importorskip("statsmodels")
    with pytest.warns(UserWarning, match="too few for a season of 28"):
        ControlledForecaster([7, 28], policy=folder).forecast(two_seasons(50), 3)


@pytest.mark.parametrize(("bad", "place"), [(0.0, 7), (-3.0, 30)])
def test_a_multiplicative_season_that_was_demanded_refuses_what_it_cannot_hold(
    folder: str, bad: float, place: int
) -> None:
    y = monthly()
    demanding = ControlledForecaster(12, season="multiplicative", policy=folder)
    assert np.isfinite(demanding.forecast(y, 3)["mean"]).all()
    y[place] = bad
    with pytest.raises(DatasetError, match=rf"observation {place} is {bad:g}.*season='auto'"):
        demanding.fit(y)
    assert np.isfinite(ControlledForecaster(12, policy=folder).forecast(y, 3)["mean"]).all()


def test_how_a_season_enters_changes_the_forecast(folder: str) -> None:
    y = monthly() * np.linspace(1.0, 3.0, 72)
    found = [
        ControlledForecaster(12, season=season, policy=folder).forecast(y, 12)["mean"]
        for season in ("auto", "multiplicative", "additive")
    ]
    assert np.array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])


def test_a_season_that_enters_as_nobody_knows_is_refused(folder: str) -> None:
    with pytest.raises(UnknownNameError, match="multiplicative"):
        ControlledForecaster(12, season="multiplicativ", policy=folder)  # type: ignore[arg-type]


def test_own_settings_are_in_force_until_the_first_decision(folder: str) -> None:
    y, own = monthly(), {"level": 0.9, "lags": 1}
    usual = ControlledForecaster(12, policy=folder).fit(y)
    other = ControlledForecaster(12, policy=folder, initial=own).fit(y)
    assert other.new().initial == own
    found, expected = other.predict(6)["mean"], usual.predict(6)["mean"]
    assert (found != expected).any()
    # The first decision goes on from the season's constants, whatever was set before.
    first, first_usual = (each.explain().course[0] for each in (other, usual))
    np.testing.assert_allclose(np.log(first), np.log(first_usual), atol=0.6)
    same = dict(zip(usual.explain().names, start_of(12), strict=True))
    again = ControlledForecaster(12, policy=folder, initial=same).fit(y)
    assert np.array_equal(again.predict(6)["mean"], expected)


@pytest.mark.parametrize(
    ("initial", "error", "match"),
    [
        ({"levle": 0.5}, UnknownNameError, "level"),
        ({"level": 2.0}, ConfigurationError, r"level must lie in \[0.02, 0.995\]; got 2.0"),
        ({"level": "high"}, ConfigurationError, "got 'high'"),
        (0.5, ConfigurationError, "mapping by name"),
        ({1: 0.5}, ConfigurationError, "mapping by name"),
    ],
)
def test_own_settings_that_cannot_be_are_refused(
    folder: str, initial: Any, error: Any, match: str
) -> None:
    with pytest.raises(error, match=match):
        ControlledForecaster(12, policy=folder, initial=initial)
