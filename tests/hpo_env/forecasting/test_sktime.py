"""The estimator of sktime keeps to sktime's contract."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo_env.forecasting import ControlledForecaster

checks = pytest.importorskip("sktime.utils.estimator_checks")
pytestmark = pytest.mark.filterwarnings("ignore")  # sktime's own


@pytest.fixture
def estimator(folder: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    from hpo_env.forecasting.sktime import ControlledForecaster as Estimator

    params = [one | {"policy": folder} for one in Estimator.get_test_params()]
    monkeypatch.setattr(Estimator, "get_test_params", classmethod(lambda *_, **__: params))
    return Estimator


@pytest.mark.parametrize("seasons", [1, (4, 12)])
def test_it_is_made_copied_and_saved_as_sktime_asks(
    estimator: Any, folder: str, seasons: Any
) -> None:
    one = estimator(sp=seasons, policy=folder)
    assert one.clone().get_params() == {"sp": seasons, "season": "auto", "policy": folder}
    y = pd.Series(50.0 + np.random.default_rng(0).normal(size=60))
    fitted = one.fit(y, fh=[1, 3])
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict(), fitted.predict())


@pytest.mark.parametrize(
    "name",
    [
        "test_constructor",
        "test_set_params",
        "test_fit_does_not_overwrite_hyper_params",
        "test_predict_time_index",
        "test_predict_interval",
    ],
)
def test_checks_of_sktime_pass(estimator: Any, name: str) -> None:
    found = checks.check_estimator(
        estimator, tests_to_run=name, raise_exceptions=False, verbose=False
    )
    assert {which: why for which, why in found.items() if why != "PASSED"} == {}
    assert found


def test_forecasts_and_intervals_are_those_of_the_forecaster(estimator: Any, folder: str) -> None:
    index = pd.period_range("2015-01", periods=72, freq="M")
    season = np.sin(np.arange(72) * np.pi / 6.0)
    y = pd.Series(100.0 + 10.0 * season + np.random.default_rng(0).normal(size=72), index=index)
    fitted = estimator(sp=12, policy=folder).fit(y)
    alone = ControlledForecaster(12, policy=folder).forecast(y.to_numpy(), 6, level=[80])
    assert np.array_equal(fitted.predict([2, 6]), alone["mean"][[1, 5]])
    bounds = fitted.predict_interval([2, 6], coverage=0.8)
    assert np.array_equal(bounds.iloc[:, 0], alone["lo-80"][[1, 5]])
    assert np.array_equal(bounds.iloc[:, 1], alone["hi-80"][[1, 5]])
    expected = pd.PeriodIndex(["2021-02", "2021-06"], freq="M")
    assert list(fitted.predict([2, 6]).index) == list(expected)
    assert fitted.explain().course.shape[1] == len(fitted.explain().names)
