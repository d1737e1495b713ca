from __future__ import annotations

import numpy as np

from agents.statistics.regret import best_known, log_regret, normalised_regret

TASKS = np.array(["a", "a", "b"])
LOSSES = np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 2.0]])


def test_the_best_known_is_over_methods_and_runs_of_the_task() -> None:
    assert best_known(LOSSES, TASKS).tolist() == [1.0, 1.0, 2.0]


def test_log_regret_by_hand() -> None:
    assert log_regret(LOSSES, TASKS).tolist() == [[0.0, 1.0, 2.0], [2.0, 0.0, 0.0]]


def test_normalised_regret_is_linear_from_the_best_to_the_untrained_and_clipped() -> None:
    losses = np.log(np.array([[1.0, 2.0], [3.0, 50.0]]))
    found = normalised_regret(losses, np.full((2, 2), 5.0), np.array(["a", "a"]))
    np.testing.assert_allclose(found, [[0.0, 0.25], [0.5, 1.0]])


def test_where_training_gains_nothing_the_best_is_still_0_and_others_1() -> None:
    losses = np.log(np.array([[2.0], [3.0]]))
    assert normalised_regret(losses, np.full((2, 1), 1.0), np.array(["a"])).tolist() == [[0], [1]]


def test_regret_does_not_depend_on_the_unit_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    losses, first = rng.normal(size=(3, 6)), np.full((3, 6), 9.0)
    tasks = np.array(list("ababcc"))
    scale = 100.0
    np.testing.assert_allclose(
        normalised_regret(losses + np.log(scale), first * scale, tasks),
        normalised_regret(losses, first, tasks),
    )
