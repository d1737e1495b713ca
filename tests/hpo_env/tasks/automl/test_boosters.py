"""The booster: kernel and NumPy twin grow the same trees, and LightGBM nearly the same."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo_env.tasks.automl.array_boosters import ArrayBoosters, Generator
from hpo_env.tasks.automl.binning import MAX_BINS, binned
from hpo_env.tasks.automl.family import AutomlFamily
from hpo_env.tasks.automl.lightgbm_boosters import LightGBMBoosters
from hpo_env.tasks.automl.native_boosters import NativeBoosters
from hpo_env.tasks.automl.problem import problem_of
from hpo_env.tasks.automl.space import HYPERPARAMETERS
from hpo_env.tasks.automl.task import AutomlTask

NAMES = tuple(h.name for h in HYPERPARAMETERS)
TASKS = {
    "regression": ("ames_houses", 500, 30),
    "binary with categories and gaps": ("guatemala_prenatal", 500, 10),
    "classes": ("british_election", 500, 9),
}
SETTINGS: dict[str, dict[str, float]] = {
    "defaults": {},
    "sampled": {"row_fraction": 0.6, "column_fraction": 0.5, "learning_rate": 0.2},
    "small leaves": {"min_data_in_leaf": 1, "num_leaves": 20, "lambda_l2": 3.0},
    "stumps": {"num_leaves": 2},
    "linear": {"linear_shrinkage": 0.7},
}


def task(table: Any, num_rows: Any, num_columns: Any, **changes: Any) -> Any:
    drawn = AutomlFamily(num_decisions=4, rounds_per_decision=3)._task(table, 1, 0, 0)
    return replace(drawn, num_rows=num_rows, num_columns=num_columns, **changes)


def values(**changes: Any) -> Any:
    usual = {h.name: h.default for h in HYPERPARAMETERS}
    return np.array([{**usual, **changes}[name] for name in NAMES])


def validation_losses(
    boosters: Any, one: AutomlTask, setting: Any, num_rounds: int = 6, seed: int = 5
) -> Any:
    lanes = np.array([0])
    first = boosters.start(lanes, [one], [seed])
    rounds = boosters.advance(setting[None], np.array([num_rounds]), np.array([np.inf]))
    return np.concatenate([first.validation[0], rounds.validation[0]]), rounds


@pytest.mark.parametrize("which", TASKS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_kernel_and_twin_grow_the_same_trees(which: Any, setting: Any) -> None:
    one, chosen = task(*TASKS[which]), values(**SETTINGS[setting])
    native, rounds = validation_losses(NativeBoosters(1), one, chosen)
    twin, twin_rounds = validation_losses(ArrayBoosters(1), one, chosen)
    np.testing.assert_allclose(native, twin, rtol=2e-4)
    assert rounds.train[0, -1] == pytest.approx(twin_rounds.train[0, -1], rel=2e-4)
    best = int(native[1:].argmin())
    assert rounds.test[0, best] == pytest.approx(twin_rounds.test[0, best], rel=2e-4)
    assert rounds.test_metric[0, best] == pytest.approx(twin_rounds.test_metric[0, best], abs=0.02)


@pytest.mark.parametrize(
    ("which", "tolerance"),
    [("regression", 0.05), ("binary with categories and gaps", 0.03), ("classes", 0.05)],
)
def test_the_loss_curve_is_that_of_lightgbm(which: str, tolerance: float) -> None:
    """Within what other bins (64 against 255) and other draws make: a few per cent."""
    one, chosen = task(*TASKS[which]), values(learning_rate=0.1, num_leaves=8)
    native, _ = validation_losses(NativeBoosters(1), one, chosen, num_rounds=20)
    library, _ = validation_losses(LightGBMBoosters(1), one, chosen, num_rounds=20)
    assert native[0] == pytest.approx(library[0])
    assert native[-1] < 0.97 * native[0]
    np.testing.assert_allclose(np.log(native), np.log(library), atol=tolerance)


def test_rows_and_columns_are_drawn_by_the_lane_s_own_generator() -> None:
    one, chosen = task(*TASKS["regression"]), values(row_fraction=0.6)
    curves = [validation_losses(NativeBoosters(1), one, chosen, seed=s)[0] for s in (1, 1, 2)]
    assert np.array_equal(curves[0], curves[1])
    assert not np.array_equal(curves[0], curves[2])


def test_test_rows_are_measured_where_validation_is_the_best_so_far() -> None:
    one = task(*TASKS["classes"])
    boosters, lanes = NativeBoosters(1), np.array([0])
    boosters.start(lanes, [one], [0])
    rounds = boosters.advance(values()[None], np.array([5]), np.array([0.0]))
    assert np.isnan(rounds.test).all()
    rounds = boosters.advance(values()[None], np.array([5]), np.array([np.inf]))
    lowest = np.minimum.accumulate(np.concatenate([[np.inf], rounds.validation[0]]))[:-1]
    assert np.array_equal(~np.isnan(rounds.test[0]), rounds.validation[0] < lowest)


def test_a_linear_stage_fits_what_a_line_fits() -> None:
    """Of a full step on a regression, the ridge's own fit is left."""
    one = task("ames_houses", 500, 30)
    stage = values(linear_shrinkage=1.0, learning_rate=0.005, num_leaves=2)
    _, rounds = validation_losses(NativeBoosters(1), one, stage, num_rounds=1)
    problem = problem_of(one)
    x = np.nan_to_num(problem.train.x[:, ~problem.is_categorical])
    x = np.column_stack([(x - x.mean(0)) / np.maximum(x.std(0), 1e-9), np.ones(len(x))])
    residual = problem.train.y - x @ np.linalg.lstsq(x, problem.train.y, rcond=None)[0]
    assert rounds.train[0, 0] < 1.02 * np.sqrt(np.mean(np.square(residual)))


def test_bins_hold_what_is_missing_and_rare_apart_and_come_from_training_rows() -> None:
    table = binned(task("guatemala_prenatal", 500, 10).part)
    cells = np.concatenate([side.x for side in table.problem.sides])
    assert (table.bins[np.isnan(cells)] == 0).all()
    assert (table.bins < table.num_bins).all()
    assert (table.num_bins <= MAX_BINS).all()
    for column in np.flatnonzero(~table.problem.is_categorical):
        known = ~np.isnan(cells[:, column])
        order = np.argsort(cells[known, column], kind="stable")
        assert (np.diff(table.bins[known, column][order].astype(int)) >= 0).all()
        assert table.bins[known, column].min() >= 1


def test_the_generator_is_splitmix64() -> None:
    random = Generator(1234567)  # the first numbers of the reference implementation
    assert [random.next() for _ in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_threads_change_nothing() -> None:
    one, chosen = task(*TASKS["classes"]), values(row_fraction=0.6)
    setting, counts, lanes = np.tile(chosen, (5, 1)), np.full(5, 4), np.arange(5)
    found = []
    try:
        for num_threads in (1, 3):
            AutomlFamily.set_num_threads(num_threads)
            boosters = NativeBoosters(5)
            boosters.start(lanes, [one] * 5, list(range(5)))
            found.append(boosters.advance(setting, counts, np.full(5, np.inf)).validation)
    finally:
        AutomlFamily.set_num_threads(1)
    one_thread, three_threads = found
    assert np.array_equal(one_thread, three_threads)
