"""The benchmark of forecasters counts as it says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.forecasting import Errors, Panel, coverage, errors, panel, summary
from benchmarks.forecasting_groups import ratios
from hpo_env.forecasting.intervals import LEVELS, Quantiles
from hpo_env.tasks.forecasting.family import ForecastingFamily
from hpo_env.tasks.forecasting.steering import Steered
from hpo_env.tasks.forecasting.trainer import walk_of_task


def small_panel() -> Panel:
    tasks = ForecastingFamily(split="validation").tasks()[:2]
    actual = np.array([[100.0, 200.0], [50.0, np.nan]])
    return Panel(
        tasks=tasks,
        walks=[walk_of_task(task) for task in tasks],
        actual=actual,
        naive_error=np.array([10.0, 5.0]),
    )


def test_errors_are_those_of_the_known_points() -> None:
    found = errors(np.array([[110.0, 180.0], [40.0, 1e9]]), small_panel())
    assert found.smape == pytest.approx([100.0 * (10 / 210 + 20 / 380), 200.0 * 10 / 90])
    assert found.mase == pytest.approx([1.5, 2.0])
    assert found.mape == pytest.approx([10.0, 20.0])


def test_a_method_against_itself_differs_by_nothing() -> None:
    one = Errors(smape=np.array([10.0, 20.0]), mase=np.array([1.0, 2.0]), mape=np.ones(2))
    row = summary("a", one, small_panel(), one, one)
    assert row["owa"] == pytest.approx(1.0)
    assert (row["log_mase_to_theta"], row["low"], row["high"]) == (0.0, 0.0, 0.0)


def test_points_count_by_horizon_and_not_by_series() -> None:
    data = small_panel()
    one = Errors(smape=np.array([10.0, 20.0]), mase=np.ones(2), mape=np.ones(2))
    horizon = np.array([task.horizon for task in data.tasks])
    expected = (10.0 * horizon[0] + 20.0 * horizon[1]) / horizon.sum()
    assert summary("a", one, data, one, one)["smape"] == pytest.approx(expected)


def test_coverage_is_the_share_of_points_inside() -> None:
    data = small_panel()
    found = Steered(
        forecasts=np.array([[100.0, 100.0], [40.0, 0.0]]),
        errors=np.array([[7.0, 7.0], [7.0, 7.0]]),  # whose late ones are smaller
        recent_errors=np.array([[1.0, 1.0], [1.0, 1.0]]),
        num_errors=np.full((2, 2), 50.0),
        course=np.zeros((2, 1, 8)),
    )
    nine = Quantiles(table={1: np.full((1, len(LEVELS)), 9.0)})
    assert coverage(found, data, nine, 95.0).tolist() == [50.0, 0.0]


def test_the_validation_panel_repeats_and_has_drawn_origins() -> None:
    one, other = panel("validation"), panel("validation")
    assert len(one.tasks) > 1300
    assert np.array_equal(one.actual, other.actual, equal_nan=True)
    assert np.isfinite(one.actual[:, 0]).all()


def test_groups_are_relative_to_the_seasonal_naive(tmp_path: Path) -> None:
    for name in ("m1", "m3", "tourism"):
        table = pd.DataFrame({"method": ["seasonal naive", "Naive2", "Theta", "mine"]})
        for part in ("yearly", "quarterly", "monthly"):
            table[f"mase_{part}"] = [2.0, 1.9, 1.8, 1.0]
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    found = ratios(tmp_path)
    assert found.shape == (4, 9)
    assert (found.loc["policy"] == 0.5).all()
