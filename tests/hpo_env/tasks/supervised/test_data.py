"""Rows are split, imputed and standardised with nothing but the task's training rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo_env.networks.objectives import objective
from hpo_env.tasks.supervised.data import Problem, SupervisedTask, prepare


def write(path: Path, x: NDArray[np.float32], y: NDArray[np.generic]) -> SupervisedTask:
    np.savez(path, x=x, y=y)
    return SupervisedTask(
        name="toy",
        num_decisions=1,
        initial=(),
        dataset=str(path),
        target="y",
        architecture="mlp_32x2_relu",
        optimizer="adamw",
        augmentation_seed=3,
        num_rows=len(x),
        num_features=x.shape[1],
    )


@pytest.fixture
def classes(tmp_path: Path) -> SupervisedTask:
    """100 rows whose first feature numbers them, with missing cells in the second."""
    x = np.random.default_rng(0).standard_normal((100, 5)).astype(np.float32)
    x[:, 0] = np.arange(100)
    x[::7, 1] = np.nan
    return write(tmp_path / "classes.npz", x, np.arange(100) % 3)


@pytest.fixture
def numbers(tmp_path: Path) -> SupervisedTask:
    x = np.random.default_rng(0).standard_normal((500, 5)).astype(np.float32)
    return write(tmp_path / "numbers.npz", x, (100.0 + 20.0 * x[:, 0]).astype(np.float32))


def arrays(problem: Problem) -> list[NDArray[np.float32]]:
    parts = (problem.train, problem.validation, problem.test)
    return [array for part in parts for array in (part.x, part.y)]


def test_rows_are_split_60_20_20_and_none_is_on_two_sides(classes: SupervisedTask) -> None:
    problem = prepare(classes)
    parts = (problem.train, problem.validation, problem.test)
    assert [len(part) for part in parts] == [60, 20, 20]
    row_numbers = np.concatenate([part.x[:, 0] for part in parts])
    assert len(np.unique(row_numbers)) == 100
    assert (problem.num_outputs, problem.is_image) == (3, False)
    assert problem.objective == objective("classification")


def test_training_rows_are_standardised_and_the_others_by_them(classes: SupervisedTask) -> None:
    problem = prepare(classes)
    np.testing.assert_allclose(problem.train.x[:, 0].mean(), 0.0, atol=1e-6)
    np.testing.assert_allclose(problem.train.x[:, 0].std(), 1.0, rtol=1e-6)
    assert abs(problem.test.x[:, 0].std() - 1.0) > 1e-3


def test_missing_cells_become_the_mean(classes: SupervisedTask) -> None:
    problem = prepare(classes)
    is_missing = [(part.x[:, 1] == 0.0).sum() for part in (problem.train, problem.validation)]
    assert sum(is_missing) >= 8
    assert all(np.isfinite(array).all() for array in arrays(problem))
    present = problem.train.x[:, 1][problem.train.x[:, 1] != 0.0]
    np.testing.assert_allclose([present.mean(), present.std()], [0.0, 1.0], atol=1e-5)


def test_regression_targets_are_standardised_by_training_rows(numbers: SupervisedTask) -> None:
    problem = prepare(numbers)
    np.testing.assert_allclose(problem.train.y.mean(), 0.0, atol=1e-6)
    np.testing.assert_allclose(problem.train.y.std(), 1.0, rtol=1e-6)
    assert (problem.num_outputs, problem.objective) == (1, objective("regression"))


def test_the_seed_alone_decides_the_split(classes: SupervisedTask) -> None:
    again, other = prepare(classes), prepare(replace(classes, augmentation_seed=4))
    pairs = list(zip(arrays(prepare(classes)), arrays(again), strict=True))
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert not np.array_equal(again.train.y, other.train.y)


def test_row_and_feature_subsets_have_the_size_asked_for(classes: SupervisedTask) -> None:
    problem = prepare(replace(classes, num_rows=50, num_features=2))
    assert problem.train.x.shape == (30, 2)
    assert problem.num_features == 2


def test_label_noise_changes_its_share_of_labels(numbers: SupervisedTask, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((1500, 2)).astype(np.float32)
    clean = write(tmp_path / "noise.npz", x, (x[:, 0] > 0).astype(np.int64))
    noisy = prepare(replace(clean, label_noise=0.4))
    changed = np.mean(noisy.train.y != prepare(clean).train.y)
    assert changed == pytest.approx(0.2, abs=0.04)  # half of the random labels are right


def test_target_noise_adds_its_variance(numbers: SupervisedTask) -> None:
    noise = prepare(replace(numbers, target_noise=0.5)).train.y - prepare(numbers).train.y
    assert noise.std() == pytest.approx(0.5, rel=0.15)


def test_the_input_scale_multiplies_the_inputs(classes: SupervisedTask) -> None:
    scaled = prepare(replace(classes, input_scale=2.0))
    np.testing.assert_array_equal(scaled.test.x, 2.0 * prepare(classes).test.x)


def test_a_wild_cell_and_a_column_that_training_rows_hold_constant_stay_small(
    tmp_path: Path,
) -> None:
    x = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    x[7, 0] = 1e12
    x[:, 1] = 5.0
    x[7, 1] = 6.0
    problem = prepare(write(tmp_path / "wild.npz", x, np.arange(500) % 2))
    assert max(np.abs(a).max() for a in arrays(problem)) <= 8.0


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((100, 3)).astype(np.float32)
    task = write(tmp_path / "a.npz", x, np.arange(100) % 2)
    before = prepare(task)
    write(tmp_path / "a.npz", x + np.arange(100, dtype=np.float32)[:, None], np.arange(100) % 2)
    assert not np.array_equal(prepare(task).train.x, before.train.x)
