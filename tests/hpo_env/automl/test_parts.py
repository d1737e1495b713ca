"""Columns, splits and ensembles: what the estimators are made of."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, RidgeCV

from hpo_env.automl.boosters import Goal
from hpo_env.automl.columns import Columns
from hpo_env.automl.ensembling import greedy_weights, loss_of_outputs, outputs_of
from hpo_env.automl.growing import Deadline
from hpo_env.automl.linear_start import Features, LinearStart, most_features, why_not
from hpo_env.automl.progress_bar import ProgressBar
from hpo_env.automl.rows import Rows, folds, split
from hpo_env.errors import ControllerWarning, DatasetError
from hpo_env.tasks.automl.task import Target

# ------------------------------------------------------------------------------------------ columns


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([1.5, None, 3.0], [1.5, np.nan, 3.0]),
        (pd.array([1, pd.NA, 3], dtype="Int64"), [1.0, np.nan, 3.0]),
        (["b", "a", None], [1.0, 0.0, np.nan]),
        ([True, False, True], [1.0, 0.0, 1.0]),
        (pd.array([True, pd.NA, False], dtype="boolean"), [1.0, np.nan, 0.0]),
        (pd.Categorical(["x", None, "w"], categories=["x", "w", "v"]), [1.0, np.nan, 0.0]),
        (pd.Categorical([10, 2, 10]), [1.0, 0.0, 1.0]),
        (pd.array(["b", pd.NA, "a"], dtype="string"), [1.0, np.nan, 0.0]),
        (np.array([1, 2.5, None], dtype=object), [1.0, 2.5, np.nan]),
        (np.array(["a", 3, None], dtype=object), [1.0, 0.0, np.nan]),
        ([None, None, None], [np.nan, np.nan, np.nan]),
    ],
)
def test_a_column_becomes_numbers_or_codes(cells: Any, expected: list[float]) -> None:
    frame = pd.DataFrame({"a": cells})
    columns = Columns.of(frame, None)
    np.testing.assert_array_equal(columns.read(frame)[:, 0], expected)


def test_codes_do_not_depend_on_the_order_of_rows() -> None:
    frame = pd.DataFrame({"a": ["c", "a", "b", "a"]})
    assert Columns.of(frame, None) == Columns.of(frame.iloc[::-1], None)


def test_a_level_that_is_new_counts_as_missing_and_is_said() -> None:
    columns = Columns.of(pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]}), None)
    with pytest.warns(ControllerWarning, match="columns 'a' hold levels that were not seen"):
        made = columns.read(pd.DataFrame({"a": ["z", "x"], "b": [9.0, 9.0]}))
    np.testing.assert_array_equal(made, [[np.nan, 9.0], [0.0, 9.0]])


def test_numbers_that_become_texts_are_refused() -> None:
    columns = Columns.of(pd.DataFrame({"a": [1.0, 2.0]}), None)
    with pytest.raises(DatasetError, match="column 'a' must hold numbers, as in training"):
        columns.read(pd.DataFrame({"a": ["one", "two"]}))


def test_what_never_varies_is_found() -> None:
    x = np.array([[1.0, 1.0, np.nan, 1.0], [1.0, 2.0, np.nan, np.nan]])
    columns = Columns.of(x, None)
    assert columns.constant(x) == ["0", "2"]  # that a cell is missing tells something


# --------------------------------------------------------------------------------------------- rows


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    share=st.floats(0.01, 0.99),
    is_stratified=st.booleans(),
)
def test_a_split_leaves_a_row_of_each_class_to_train_on(
    counts: list[int], share: float, is_stratified: bool
) -> None:
    y = np.repeat(np.arange(len(counts)), counts).astype(np.float64)
    rows = Rows(x=np.arange(len(y), dtype=np.float64)[:, None], y=y, weight=y + 1.0)
    rng = np.random.default_rng(0)
    try:
        train, validation = split(rows, share, rng, is_stratified=is_stratified)
    except DatasetError:
        assert len(y) < 5 or (is_stratified and max(counts) == 1)
        return
    together = np.concatenate([train.x, validation.x])[:, 0]
    assert sorted(together) == list(range(len(y)))
    assert len(validation) >= 1
    if is_stratified:
        assert set(train.y) == set(y)
    np.testing.assert_array_equal(train.and_also(validation).weight, y[together.astype(int)] + 1.0)


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    share=st.floats(0.01, 0.99),
    num_parts=st.integers(2, 12),
    is_stratified=st.booleans(),
)
def test_parts_leave_a_row_of_each_class_to_train_on_and_are_used_in_turn(
    counts: list[int], share: float, num_parts: int, is_stratified: bool
) -> None:
    y = np.repeat(np.arange(len(counts)), counts).astype(np.float64)
    rows = Rows(x=np.arange(len(y), dtype=np.float64)[:, None], y=y)
    rng = np.random.default_rng(0)
    try:
        found = folds(rows, share, num_parts, rng, is_stratified=is_stratified)
    except DatasetError:
        assert len(y) < 5 or (is_stratified and max(counts) == 1)
        return
    assert len(found) == num_parts
    times = np.zeros(len(y), dtype=int)
    for train, validation in found:
        assert sorted([*train.x[:, 0], *validation.x[:, 0]]) == list(range(len(y)))
        assert len(validation) >= 1
        times[validation.x[:, 0].astype(int)] += 1
        if is_stratified:
            assert set(train.y) == set(y)
    is_dealt = np.array([not is_stratified or (y == one).sum() > 1 for one in y])
    assert (times[~is_dealt] == 0).all()
    assert np.ptp(times[is_dealt]) <= 1


# ----------------------------------------------------------------------------------- linear starts


def goal(target: Any, num_classes: int, *codes: bool) -> Goal:
    return Goal(
        target=target, num_classes=num_classes, is_categorical=np.array(codes), num_threads=1
    )


def test_a_linear_start_lies_between_the_constant_and_the_regression() -> None:
    x = np.arange(10.0)[:, None]
    rows = Rows(x=x, y=2.0 * x[:, 0] + 1.0)
    whole = LinearStart.of(goal("regression", 1, False), rows, 1.0)
    half = LinearStart.of(goal("regression", 1, False), rows, 0.5)
    assert whole is not None
    assert half is not None
    np.testing.assert_allclose(whole.margin(x)[:, 0], rows.y, atol=0.1)
    np.testing.assert_allclose(half.margin(x), 5.0 + whole.margin(x) / 2.0)


@pytest.mark.parametrize("labels", [[0.0, 1.0], [0.0, 1.0, 2.0], [0.0, 2.0]])
def test_shares_of_classes_are_those_of_a_logistic_regression(labels: list[float]) -> None:
    rng = np.random.default_rng(0)
    y = rng.choice(labels, 200)
    x = y[:, None] + rng.normal(size=(200, 2))
    target: Target = "binary" if max(labels) == 1.0 else "multiclass"
    start = LinearStart.of(goal(target, int(max(labels)) + 1, False, False), Rows(x=x, y=y), 1.0)
    assert start is not None
    said = outputs_of(target, start.margin(x))
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    expected = LogisticRegression().fit(scaled, y).predict_proba(scaled)
    np.testing.assert_allclose(said[:, np.array(labels).astype(int)], expected, atol=1e-3)


def test_weights_of_rows_move_a_linear_start() -> None:
    x, y = np.array([[0.0], [1.0]] * 10), np.array([0.0, 1.0] * 9 + [5.0, 1.0])
    weight = np.ones(20)
    weight[18] = 1e-9
    start = LinearStart.of(goal("regression", 1, False), Rows(x=x, y=y, weight=weight), 1.0)
    without = LinearStart.of(goal("regression", 1, False), Rows(x=x[:18], y=y[:18]), 1.0)
    assert start is not None
    assert without is not None
    np.testing.assert_allclose(start.margin(x), without.margin(x), atol=0.05)


@pytest.mark.parametrize("num_rows", [12, 400])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_ridge_regression_is_that_of_scikit_learn(num_rows: int, is_weighted: bool) -> None:
    rng = np.random.default_rng(num_rows)
    x = rng.normal(size=(num_rows, 5)) * [1.0, 1.0, 0.1, 10.0, 1.0]
    x[:, 4] = x[:, 0]  # twice the same
    y = x[:, 0] - x[:, 2] + rng.normal(size=num_rows)
    weight = rng.uniform(0.2, 3.0, num_rows) if is_weighted else None
    start = LinearStart.of(goal("regression", 1, *[False] * 5), Rows(x=x, y=y, weight=weight), 1.0)
    assert start is not None
    design = start.features.of_rows(x)
    twin = RidgeCV(alphas=np.logspace(-1.0, 4.0, 11)).fit(design, y, sample_weight=weight)
    np.testing.assert_allclose(start.slopes[:, 0], twin.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(start.margin(x)[:, 0], twin.predict(design), rtol=1e-7, atol=1e-9)


def test_levels_are_features_as_long_as_there_is_room_the_most_frequent_first() -> None:
    rng = np.random.default_rng(0)
    counts = [90, 60, 30, 6, 4]
    first = np.repeat(np.arange(5.0), counts)
    x = np.stack([first, rng.normal(size=190), first % 2.0], axis=1)
    is_categorical = np.array([True, False, True])

    def kept(most: int) -> list[list[float]]:
        levels = Features.of(x, is_categorical, most).levels
        return [one.tolist() for one in levels if one is not None]

    assert kept(300) == [[0.0, 1.0, 2.0, 3.0], [0.0, 1.0]]  # of four rows is none
    assert kept(4) == [[0.0], [0.0, 1.0]]  # 124 and 66 rows, and 90; a number is the fourth
    assert kept(1) == [[], []]


def test_many_levels_leave_a_large_table_its_linear_start() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 400, size=(8000, 2)).astype(float)
    y = (x[:, 0] < 9.0).astype(float)
    asked = goal("binary", 2, True, True)
    assert most_features(asked, 8000) == 300
    assert most_features(asked, 1_000_000) == 20
    start = LinearStart.of(asked, Rows(x=x, y=y), 1.0)
    assert start is not None
    assert len(start.features) == 300


def test_levels_and_gaps_are_features_and_what_is_new_is_not() -> None:
    x = np.array([[0.0, 1.0], [1.0, np.nan], [2.0, 3.0]] * 6)
    features = Features.of(x, np.array([True, False]))
    assert len(features) == 3 + 1 + 1  # three levels, a number, and that it is missing
    made = features.of_rows(np.array([[1.0, 2.0], [9.0, np.nan], [np.nan, 1e9]]))
    np.testing.assert_allclose(made, [[0, 0, 0, 1, 0], [0, 1, 0, 0, 0], [4, 0, 0, 0, 0]], atol=1e-9)


@pytest.mark.parametrize("cells", [[np.nan] * 8, [3.0] * 8, [1e308, -1e308] * 4])
def test_columns_that_tell_nothing_are_no_trouble(cells: list[float]) -> None:
    x = np.stack([np.array(cells), np.arange(8.0)], axis=1)
    start = LinearStart.of(goal("regression", 1, False, False), Rows(x=x, y=np.arange(8.0)), 1.0)
    assert start is not None
    assert np.isfinite(start.margin(x)).all()


def test_too_much_to_compute_is_no_linear_start() -> None:
    features = Features.of(np.arange(4.0).reshape(2, 2), np.zeros(2, dtype=bool))
    assert why_not(features, goal("regression", 1, False, False), 10_000_000) is None
    told = why_not(features, goal("multiclass", 2, False, False), 10_000_000)
    assert told is not None
    assert "20,000,000 cells" in told


# ---------------------------------------------------------------------------------------- ensembles


def test_scores_become_shares() -> None:
    np.testing.assert_allclose(outputs_of("binary", np.array([[np.log(3.0)]])), [[0.25, 0.75]])
    shares = outputs_of("multiclass", np.log(np.array([[1.0, 2.0, 5.0]])) + 700.0)
    np.testing.assert_allclose(shares, [[0.125, 0.25, 0.625]])
    assert np.isfinite(outputs_of("binary", np.array([[-1e9], [1e9]]))).all()


@pytest.mark.parametrize(
    ("target", "outputs", "y", "weight", "expected"),
    [
        ("regression", [[1.0], [4.0]], [0.0, 2.0], None, np.sqrt(2.5)),
        ("regression", [[1.0], [4.0]], [0.0, 2.0], [3.0, 1.0], np.sqrt(1.75)),
        ("binary", [[0.5, 0.5], [0.75, 0.25]], [1.0, 0.0], None, -np.log(0.375) / 2.0),
        ("multiclass", [[0.0, 1.0, 0.0]], [0.0], None, -np.log(1e-15)),
    ],
)
def test_outputs_are_measured_as_the_boosters_measure_them(
    target: Any, outputs: list[Any], y: list[float], weight: Any, expected: float
) -> None:
    rows = None if weight is None else np.array(weight)
    assert loss_of_outputs(target, np.array(outputs), np.array(y), rows) == pytest.approx(expected)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 6))
def test_an_ensemble_is_no_worse_than_the_best_of_its_members(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.normal(size=30)
    outputs = [(y + rng.normal(size=30))[:, None] for _ in range(count)]
    weights = greedy_weights("regression", outputs, y, None)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0.0).all()
    together = np.tensordot(weights, np.array(outputs), axes=1)
    best = min(loss_of_outputs("regression", one, y, None) for one in outputs)
    assert loss_of_outputs("regression", together, y, None) <= best + 1e-12


def test_of_equal_models_one_is_enough() -> None:
    same = np.array([[0.2], [0.4]])
    weights = greedy_weights("regression", [same, same.copy()], np.array([0.0, 1.0]), None)
    assert weights.tolist() == [1.0, 0.0]


# ----------------------------------------------------------------------------------- time and words


def test_a_deadline_passes() -> None:
    assert Deadline(None).left == np.inf
    assert not Deadline(60.0).is_over
    assert Deadline(0.0).is_over


def test_a_bar_that_is_not_shown_says_nothing() -> None:
    stream = io.StringIO()
    for is_shown in (False, True):
        bar = ProgressBar(is_shown, stream)
        bar.begin("run 1 of 1")
        bar(1, 2, 0.5, 0.5)
        bar(2, 2, 0.4, 0.4)
        bar.close()
        assert bool(stream.getvalue()) == is_shown
    assert "2/2 rounds, validation loss 0.4, best 0.4" in stream.getvalue()
