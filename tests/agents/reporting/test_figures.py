from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from agents.reporting.figures import (
    MAX_LINES,
    drawn_opponents,
    regret_figure,
    schedules_figure,
)
from agents.reporting.schedules import by_start, log_changes, schedules
from agents.statistics.aggregate import OpponentSummary, summarise_suite
from agents.statistics.pairing import PairedRuns, pair_runs
from tests.agents.statistics.tables import frame_of, row


@pytest.fixture
def runs(table: pd.DataFrame) -> PairedRuns:
    return pair_runs(table)[0]


@pytest.fixture
def summaries(runs: PairedRuns) -> list[OpponentSummary]:
    return summarise_suite(runs)


def test_pictures_show_the_controller_the_default_and_the_best_of_either_kind(
    summaries: list[OpponentSummary],
) -> None:
    drawn = drawn_opponents(summaries)
    assert drawn[:2] == ("controller", "default")
    assert len(drawn) == len(set(drawn)) == MAX_LINES
    assert {"cosine_tuned", "optuna_tpe"} <= set(drawn)
    assert "random_policy" not in drawn


def test_where_there_are_no_searches_one_run_methods_take_their_place(
    summaries: list[OpponentSummary],
) -> None:
    drawn = drawn_opponents([s for s in summaries if s.runs_spent <= 1.0])
    assert len(drawn) == MAX_LINES


def test_the_heat_map_holds_the_regret_of_every_method_and_task(
    runs: PairedRuns, summaries: list[OpponentSummary]
) -> None:
    order = [s.opponent for s in summaries]
    axes = regret_figure(runs, order, runs.tasks).axes[0]
    cells = np.array([float(text.get_text()) for text in axes.texts]).reshape(len(order), -1)
    expected = [s.log_regret for s in summaries]
    np.testing.assert_allclose(cells.mean(axis=1), expected, atol=6e-3)
    assert [label.get_text() for label in axes.get_yticklabels()] == order


def test_schedules_are_drawn_for_each_initial_rate(runs: PairedRuns) -> None:
    groups = by_start(runs.keys("start"))
    figure = schedules_figure(runs, ("controller", "constant"), groups, "learning_rate", "log")
    losses, values = figure.axes[:4], figure.axes[4:]
    titles = [axes.get_title() for axes in losses]
    assert titles == ["from 0.0001", "from 0.001", "from 0.01", "from 0.1"]
    starts = [axes.lines[1].get_ydata()[0] for axes in values]
    assert {axes.get_yscale() for axes in values} == {"log"}
    (limits,) = {axes.get_ylim() for axes in values}  # one range, and all of it is shown
    drawn = np.concatenate([line.get_ydata() for axes in values for line in axes.lines])
    assert limits[0] < drawn.min() < drawn.max() < limits[1]
    np.testing.assert_allclose(np.log10(starts), [-4, -3, -2, -1], atol=0.1)


def test_schedules_leave_out_diverged_runs_and_methods_that_set_no_such_value() -> None:
    nan = float("nan")
    rates = {"learning_rate": np.full(4, 0.5)}
    rows = [
        row("controller", [(1.0, 1.0)], seed=0, hyperparameters=rates),
        row("controller", [(nan, nan)], seed=1, hyperparameters=rates),
        *(row("free", [(1.0, 1.0)], seed=s, hyperparameters={"d": np.ones(4)}) for s in (0, 1)),
    ]
    (runs,) = pair_runs(frame_of(*rows))
    assert schedules(runs, "controller", "learning_rate").tolist() == [[0.5] * 4]
    assert schedules(runs, "free", "learning_rate").shape == (0, 0)


def test_where_every_task_drew_its_own_rate_they_are_grouped_by_size() -> None:
    rows = [row("controller", [(1.0, 1.0)], seed=s, start=10.0**-s, unit=str(s)) for s in range(9)]
    (runs,) = pair_runs(frame_of(*rows))
    titles = [group.label for group in by_start(runs.keys("start"))]
    assert titles == ["from low values", "from middling values", "from high values"]


@pytest.mark.parametrize(
    ("scale", "low", "high", "expected"),
    [
        ("linear", -1.0, 1.0, "linear"),
        ("log", 1e-4, 1.0, "log"),
        ("log_integer", 1.0, 512.0, "log"),
        ("one_minus_log", 0.0, 0.999, "function"),
    ],
)
def test_the_axis_is_that_of_the_hyperparameter(
    scale: Any, low: float, high: float, expected: str
) -> None:
    values = {"x": np.linspace(low, high, 4)}
    (runs,) = pair_runs(frame_of(row("controller", [(1.0, 1.0)], hyperparameters=values)))
    figure = schedules_figure(runs, ("controller",), by_start(runs.keys("start")), "x", scale)
    axes = figure.axes[1]
    assert axes.get_yscale() == expected
    place = axes.transData.transform(np.stack([np.zeros(4), values["x"]], axis=1))[:, 1]
    assert (np.diff(place) > 0.0).all()


def test_a_loss_that_reaches_0_is_drawn_down_to_the_floor() -> None:
    solved = np.array([1.0, 0.1, 0.0, 0.0])
    rows = [row("controller", [(0.0, 0.0)], validation_loss=solved)]
    (runs,) = pair_runs(frame_of(*rows).assign(loss_floor=1e-3))
    (changes,) = log_changes(runs, "controller")
    np.testing.assert_allclose(changes, np.log([0.25, 0.025, 0.25e-3, 0.25e-3]))
