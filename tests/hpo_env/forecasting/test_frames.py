"""Thousands of series at once, and one bad one among them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo_env.errors import ConfigurationError, DatasetError
from hpo_env.forecasting import ControlledForecaster, forecast_frame


def long_frame(num_series: int = 3, num: int = 60, freq: str = "MS") -> Any:
    rng = np.random.default_rng(0)
    frames = []
    for k in range(num_series):
        y = 100.0 + np.cumsum(rng.normal(size=num))
        ds = pd.date_range("2015-01-01", periods=num, freq=freq)
        frames.append(pd.DataFrame({"unique_id": f"s{k}", "ds": ds, "y": y}))
    return pd.concat(frames, ignore_index=True)


def test_every_series_is_forecast_as_if_it_were_alone(folder: str) -> None:
    frame = long_frame()
    outcome = forecast_frame(frame, 6, level=[80], policy=folder)
    assert outcome.forecasts.shape == (18, 5)
    assert not outcome.problems
    one = frame[frame.unique_id == "s1"]
    alone = ControlledForecaster(12, policy=folder).forecast(one.y.to_numpy(), 6, level=[80])
    found = outcome.forecasts[outcome.forecasts.unique_id == "s1"]
    assert np.array_equal(found["ControlledForecaster"], alone["mean"])
    assert np.array_equal(found["ControlledForecaster-hi-80"], alone["hi-80"])
    assert found["ds"].iloc[0] == pd.Timestamp("2020-01-01")
    assert outcome.explanations["s1"].names[0] == "level"


@pytest.mark.parametrize("num_threads", [1, 3])
def test_the_outcome_does_not_depend_on_threads(folder: str, num_threads: int) -> None:
    frame = long_frame(5)
    usual = forecast_frame(frame, 4, policy=folder).forecasts
    other = forecast_frame(frame, 4, policy=folder, num_threads=num_threads).forecasts
    pd.testing.assert_frame_equal(usual, other)


@pytest.mark.parametrize(
    ("freq", "following"),
    [
        ("MS", "2020-01-01"),
        ("ME", "2020-01-31"),
        ("QS", "2030-01-01"),
        ("D", "2015-03-02"),
        ("h", "2015-01-03 12:00"),
        ("W-SUN", "2016-02-28"),
        ("YS", "2075-01-01"),
        ("BME", "2020-01-31"),
        ("B", "2015-03-26"),
        ("15min", "2015-01-01 15:00"),
    ],
)
def test_times_go_on_at_the_frequency_of_the_table(folder: str, freq: str, following: str) -> None:
    found = forecast_frame(long_frame(1, 60, freq), 2, policy=folder).forecasts
    assert found["ds"].iloc[0] == pd.Timestamp(following)


def test_whole_numbers_are_times_too(folder: str) -> None:
    frame = long_frame(1).assign(ds=np.arange(60) + 5)
    found = forecast_frame(frame, 2, policy=folder).forecasts
    assert found["ds"].tolist() == [65, 66]


def test_a_time_zone_is_kept(folder: str) -> None:
    frame = long_frame(1, 100, "h")
    frame["ds"] = frame["ds"].dt.tz_localize("Europe/Berlin")
    found = forecast_frame(frame, 2, policy=folder).forecasts
    assert str(found["ds"].iloc[0].tz) == "Europe/Berlin"


def test_rows_that_are_not_in_order_are_sorted_with_a_warning(folder: str) -> None:
    frame = long_frame()
    usual = forecast_frame(frame, 3, policy=folder).forecasts
    mixed = frame.sample(frac=1.0, random_state=0)
    with pytest.warns(UserWarning, match="sorted"):
        found = forecast_frame(mixed, 3, policy=folder).forecasts
    ours, theirs = (
        f.sort_values(["unique_id", "ds"]).reset_index(drop=True) for f in (usual, found)
    )
    pd.testing.assert_frame_equal(ours, theirs)


def broken(frame: Any, key: Any, what: Any) -> Any:
    rows = frame.index[frame.unique_id == key]
    if what == "gap":
        return frame.drop(rows[10])
    if what == "duplicate":
        return pd.concat([frame, frame.loc[[rows[10]]]], ignore_index=True)
    if what == "string":
        return frame.assign(y=frame.y.astype(object).where(frame.index != rows[10], "many"))
    if what == "infinite":
        return frame.assign(y=frame.y.where(frame.index != rows[10], np.inf))
    if what == "empty":
        return frame.assign(y=frame.y.where(frame.unique_id != key))
    other = long_frame(1, 60, "D").assign(unique_id=key)
    return pd.concat([frame[frame.unique_id != key], other], ignore_index=True)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("gap", "after 2015-10-01 00:00:00 comes 2015-12-01"),
        ("duplicate", "2015-11-01 00:00:00 is there twice"),
        ("string", "observation 10 is 'many'"),
        ("infinite", "observation 10 is infinite"),
        ("empty", "no observation"),
        ("frequency", "must follow one another"),
    ],
)
@pytest.mark.filterwarnings("ignore:the rows of the table")
def test_one_bad_series_is_named_and_does_not_stop_the_others(
    folder: str, what: str, reason: str
) -> None:
    frame = broken(long_frame(), "s1", what)
    with pytest.warns(UserWarning, match="1 of 3 series cannot be used"):
        outcome = forecast_frame(frame, 3, policy=folder)
    assert list(outcome.problems) == ["s1"]
    assert reason in outcome.problems["s1"]
    assert set(outcome.forecasts.unique_id) == {"s0", "s2"}


@pytest.mark.filterwarnings("ignore:the rows of the table")
def test_a_table_without_a_usable_series_is_refused(folder: str) -> None:
    with pytest.raises(DatasetError, match="is there twice"):
        forecast_frame(broken(long_frame(1), "s0", "duplicate"), 3, freq="MS", policy=folder)


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        (long_frame().drop(columns="y"), "y missing"),
        (long_frame().iloc[:0], "no row"),
        (long_frame().assign(ds=0.5), "fractions"),
        (long_frame().assign(ds="soon"), "timestamps"),
        (long_frame(1, 2), "no frequency"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(folder: str, frame: Any, match: str) -> None:
    with pytest.raises(DatasetError, match=match):
        forecast_frame(frame, 3, policy=folder)


def test_a_frequency_that_is_not_known_is_refused(folder: str) -> None:
    with pytest.raises(ConfigurationError, match="fortnight"):
        forecast_frame(long_frame(), 3, freq="fortnight", policy=folder)


def test_a_horizon_of_0_is_refused(folder: str) -> None:
    with pytest.raises(ConfigurationError, match="horizon"):
        forecast_frame(long_frame(), 0, policy=folder)


def test_a_demanded_model_leaves_out_the_series_that_it_cannot_hold(folder: str) -> None:
    frame = long_frame()
    frame.loc[frame.index[frame.unique_id == "s1"][3], "y"] = -1.0
    with pytest.warns(UserWarning, match="1 of 3 series cannot be used"):
        outcome = forecast_frame(frame, 3, season="multiplicative", policy=folder)
    assert "above 0; observation 3 is -1" in outcome.problems["s1"]
    assert set(outcome.forecasts.unique_id) == {"s0", "s2"}


def test_several_seasons_at_once_are_as_one_forecaster_has_them(folder: str) -> None:
    pytest.importorskip("statsmodels")
    frame = long_frame(2, 120, "D")
    found = forecast_frame(frame, 5, season_length=(7, 28), policy=folder).forecasts
    y = frame[frame.unique_id == "s1"].y.to_numpy()
    alone = ControlledForecaster((7, 28), policy=folder).forecast(y, 5)["mean"]
    assert np.array_equal(found[found.unique_id == "s1"]["ControlledForecaster"], alone)


def test_own_settings_hold_for_every_series_as_for_one(folder: str) -> None:
    frame, own = long_frame(2), {"level": 0.9}
    found = forecast_frame(frame, 4, policy=folder, initial=own).forecasts
    for key, rows in frame.groupby("unique_id"):
        alone = ControlledForecaster(12, policy=folder, initial=own)
        expected = alone.forecast(rows["y"].to_numpy(), 4)["mean"]
        np.testing.assert_array_equal(
            found[found["unique_id"] == key]["ControlledForecaster"], expected
        )
    with pytest.raises(ConfigurationError, match="level must lie"):
        forecast_frame(frame, 4, policy=folder, initial={"level": 3.0})
