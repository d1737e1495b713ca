from __future__ import annotations

import numpy as np

from agents.statistics.anytime import anytime_losses, budget_grid
from agents.statistics.pairing import pair_runs
from tests.agents.statistics.tables import frame_of, realistic_table, row

NAN = float("nan")
CURVE = np.array([3.0, 2.0, 1.5, 1.0])
CONTROLLER = row("controller", [(1.0, 1.1)], validation_loss=CURVE)


def test_a_one_run_method_follows_its_validation_curve_and_stays_at_its_end() -> None:
    (runs,) = pair_runs(frame_of(CONTROLLER))
    budgets = np.array([0.0, 0.2, 0.25, 0.5, 0.75, 1.0, 8.0])
    found = anytime_losses(runs, budgets, measure="validation")["controller"]
    np.testing.assert_allclose(np.exp(found[0]), [4.0, 4.0, 3.0, 2.0, 1.5, 1.0, 1.0])


def test_test_loss_is_known_from_the_end_of_the_first_trial_on() -> None:
    (runs,) = pair_runs(frame_of(CONTROLLER))
    found = anytime_losses(runs, np.array([0.0, 0.99, 1.0, 2.0]))["controller"]
    np.testing.assert_allclose(np.exp(found[0]), [NAN, NAN, 1.1, 1.1])


def test_a_search_is_valued_by_the_test_loss_of_what_validation_chose() -> None:
    trials = [(2.0, 0.5), (1.0, 3.0), (1.5, 0.1)]
    (runs,) = pair_runs(frame_of(CONTROLLER, row("search", trials)))
    budgets = np.array([0.5, 1.0, 1.9, 2.0, 3.0])
    test = anytime_losses(runs, budgets)["search"]
    np.testing.assert_allclose(np.exp(test[0]), [NAN, 0.5, 0.5, 3.0, 3.0])
    validation = anytime_losses(runs, budgets, measure="validation")["search"]
    np.testing.assert_allclose(np.exp(validation[0]), [NAN, 2.0, 2.0, 1.0, 1.0])


def test_trials_that_end_together_are_known_when_all_are_paid() -> None:
    search = row("search", [(2.0, 2.0), (1.0, 1.0)], spent_updates=np.array([80, 80]))
    (runs,) = pair_runs(frame_of(CONTROLLER, search))
    found = anytime_losses(runs, np.array([1.0, 2.0]))["search"]
    np.testing.assert_allclose(np.exp(found[0]), [NAN, 1.0])


def test_a_run_that_diverged_half_way_is_at_the_worst_from_there_on() -> None:
    wild = row(
        "wild",
        [(NAN, NAN)],
        trial_intervals=[2],
        validation_loss=np.array([3.0, NAN, NAN, NAN]),
    )
    (runs,) = pair_runs(frame_of(CONTROLLER, wild))
    found = anytime_losses(runs, np.array([0.25, 0.5, 1.0]), measure="validation")["wild"]
    np.testing.assert_allclose(found[0], [np.log(3.0), np.log(4.0) + 5, np.log(4.0) + 5])


def test_at_the_whole_budget_every_method_is_where_the_table_says() -> None:
    for runs in pair_runs(realistic_table(num_seeds=1)):
        final = np.array([64.0])
        by_column = {"test": "log_test_loss", "validation": "log_last_loss"}
        for measure, column in by_column.items():
            found = anytime_losses(runs, final, measure=measure)  # type: ignore[arg-type]
            at_end = np.array(list(found.values()))[:, :, 0]
            np.testing.assert_allclose(at_end, runs.values(column))


def test_the_grid_holds_the_ends_and_one_run() -> None:
    grid = budget_grid(32.0)
    assert grid[0] == 0.0
    assert 1.0 in grid
    assert np.isclose(grid[-1], 32.0)
    assert (np.diff(grid) > 0).all()
    assert budget_grid(1.0)[-1] == 1.0
