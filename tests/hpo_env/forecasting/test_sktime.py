"""The estimator of sktime keeps to sktime's contract."""

import numpy as np
import pandas as pd
import pytest

from hpo_env.forecasting import ControlledForecaster

checks = pytest.importorskip("sktime.utils.estimator_checks")
pytestmark = pytest.mark.filterwarnings("ignore")  # sktime's own


@pytest.fixture
def estimator(folder):
    from hpo_env.forecasting.sktime import ControlledForecaster as Estimator

    class Small(Estimator):
        @classmethod
        def get_test_params(cls, parameter_set="default"):
            return [one | {"policy": folder} for one in super().get_test_params(parameter_set)]

    return Small


def test_all_checks_of_sktime_pass(estimator):
    found = checks.check_estimator(estimator, raise_exceptions=False, verbose=False)
    assert {name: why for name, why in found.items() if why != "PASSED"} == {}
    assert len(found) > 50


def test_forecasts_and_intervals_are_those_of_the_forecaster(estimator, folder):
    index = pd.period_range("2015-01", periods=72, freq="M")
    season = np.sin(np.arange(72) * np.pi / 6.0)
    y = pd.Series(100.0 + 10.0 * season + np.random.default_rng(0).normal(size=72), index=index)
    fitted = estimator(sp=12, policy=folder).fit(y)
    alone = ControlledForecaster(12, policy=folder).forecast(y.to_numpy(), 6, level=[80])
    assert np.array_equal(fitted.predict([2, 6]), alone["mean"][[1, 5]])
    bounds = fitted.predict_interval([2, 6], coverage=0.8)
    assert np.array_equal(bounds.iloc[:, 0], alone["lo-80"][[1, 5]])
    assert np.array_equal(bounds.iloc[:, 1], alone["hi-80"][[1, 5]])
    assert list(fitted.predict([2, 6]).index) == list(pd.PeriodIndex(["2021-02", "2021-06"], freq="M"))
    assert fitted.explain().course.shape[1] == len(fitted.explain().names)
