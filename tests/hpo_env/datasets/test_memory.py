"""A DataFrame or arrays as data set."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo_env.datasets import hold, load
from hpo_env.errors import DatasetError

R = 40
LISTS: Any = [[1]] * R
X = np.random.default_rng(0).normal(size=(R, 3))
Y = np.arange(R) % 3
FRAME = pd.DataFrame(X, columns=list("abc")).assign(y=Y)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (FRAME, {"target": "y"}),
        ((FRAME[["a", "b", "c"]], FRAME["y"]), {}),
        ((FRAME[["a", "b", "c"]].set_axis(range(7, 7 + R)), Y), {}),
        ((X, Y), {}),
        ((X, Y.tolist()), {}),
        ([X.tolist(), Y], {}),
    ],
    ids=["frame", "frames", "frame_and_array", "arrays", "list", "lists"],
)
def test_a_table_in_memory_is_a_data_set(data: Any, options: dict[str, Any]) -> None:
    dataset = load(data, **options)
    np.testing.assert_array_equal(dataset.x, X.astype(np.float32))
    np.testing.assert_array_equal(dataset.y, Y)
    assert dataset.kind == "classification"
    assert load(data, kind="regression", **options).kind == "regression"


def test_images_may_be_arrays() -> None:
    x = np.random.default_rng(0).normal(size=(R, 1, 8, 8))
    assert load((x, Y)).image_shape == (1, 8, 8)


def test_text_in_a_frame_is_read_as_in_a_file() -> None:
    frame = FRAME.assign(a=[f"{i},5" for i in range(R)])
    with pytest.raises(DatasetError, match=r"DataFrame: column 'a'.*decimal=\",\""):
        load(frame, "y")
    assert load(frame, "y", decimal=",").x[1, 0] == 1.5


def test_later_changes_of_the_original_do_not_reach_it() -> None:
    x, frame = X.copy(), FRAME.copy()
    sets = load((x, Y)), load(frame, "y")
    x[:], frame["a"] = 0.0, 0.0
    for dataset in sets:
        np.testing.assert_array_equal(dataset.x, X.astype(np.float32))


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (FRAME, {}, "a DataFrame needs a target"),
        (FRAME, {"target": "z"}, "no column 'z'"),
        ((X, Y), {"target": "y"}, "has its target in y"),
        ((X, Y), {"decimal": ","}, "arrays hold numbers"),
        ((X, Y[:-1]), {}, "one entry a row"),
        ((FRAME, Y[:-1]), {}, "x has 40 rows and y has 39"),
        ((X, Y, Y), {}, "a pair"),
        (X, {}, "a DataFrame or a pair.*got ndarray"),
        (5, {}, "got int"),
        (([[1, 2], [3]], Y), {}, "x cannot be turned into an array"),
        ((X, [object()] * R), {}, "got Python objects"),
        (FRAME.assign(a=1j * FRAME["a"]), {"target": "y"}, "'a' holds complex"),
        (
            FRAME.assign(a=pd.to_timedelta(FRAME["a"], unit="s")),
            {"target": "y"},
            "'a' holds timedelta",
        ),
        (
            FRAME.assign(a=pd.array([None, *range(10**18, 10**18 + R - 1)], dtype="Int64")),
            {"target": "y"},
            r"'a' has missing values beside whole numbers beyond 2\*\*53",
        ),
        (FRAME.assign(a=LISTS), {"target": "y"}, "'a' must hold numbers.*other objects"),
        (pd.concat([FRAME, FRAME], axis=1), {"target": "y"}, "names must be distinct"),
    ],
)
def test_what_makes_no_task_is_refused(data: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load(data, **options)


def test_what_is_held_is_found_by_the_name_of_its_content() -> None:
    dataset = load((X, Y))
    name = hold(dataset)
    assert load(name) is dataset
    assert hold(load((X.copy(), Y))) == name
    assert hold(load((X + 1, Y))) != name
    assert copy.deepcopy(dataset) is dataset


def test_another_process_says_to_save_it() -> None:
    with pytest.raises(DatasetError, match=r"memory of the process that made it.*to_parquet"):
        load("memory:" + "0" * 64)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (pd.Series(Y, index=range(1, R + 1)), "must have the same index"),
        (pd.Series(Y)[::-1], "must have the same index"),
        (pd.Series(Y, name="a"), "it has a column 'a', as y is called"),
    ],
)
def test_a_series_that_does_not_belong_to_the_rows_is_refused(
    y: pd.Series[Any], words: str
) -> None:
    with pytest.raises(DatasetError, match=words):
        load((FRAME[["a"]], y))


def test_what_is_masked_is_missing() -> None:
    x = np.ma.masked_less(np.arange(2.0 * R).reshape(R, 2), 4.0)
    assert np.isnan(load((x, Y)).x).sum() == 4
    with pytest.raises(DatasetError, match="must be given in every row"):
        load((X, np.ma.masked_less(np.arange(float(R)), 3.0)))
    with pytest.raises(DatasetError, match="must not be masked"):
        load((X, np.ma.masked_equal(np.array(["a", "b"] * (R // 2)), "a")))


@pytest.mark.parametrize("values", [["u", "v"], [True, False], [1, 2.5], [0, 1]])
def test_objects_of_one_type_are_what_they_hold(values: list[Any]) -> None:
    plain = np.array(values * (R // 2))
    one, other = load((X, plain.astype(object))), load((X, plain))
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("values", [["u", 1], [None, 1], [True, 1]])
def test_objects_of_several_types_are_refused(values: list[Any]) -> None:
    with pytest.raises(DatasetError, match="Python objects"):
        load((X, np.array(values * (R // 2), dtype=object)))


def test_tensors_are_taken_and_sparse_matrices_named() -> None:
    torch, sparse = pytest.importorskip("torch"), pytest.importorskip("scipy.sparse")
    assert load((torch.tensor(X), torch.tensor(Y))).fingerprint == load((X, Y)).fingerprint
    with pytest.raises(DatasetError, match=r"x\.toarray\(\)"):
        load((sparse.csr_matrix(X), Y))


def test_names_of_columns_may_be_whole_numbers() -> None:
    assert load(pd.DataFrame({0: X[:, 0], 1: Y}), 1).feature_names == ("0",)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="target must be a name"):
        load(pd.DataFrame({0: X[:, 0], 1: Y}), 2)  # type: ignore[arg-type]


def test_columns_of_lists_are_refused_whatever_type_they_have() -> None:
    pa = pytest.importorskip("pyarrow")
    of_lists: Any = pd.ArrowDtype(pa.list_(pa.int64()))
    lists = pd.array(LISTS, of_lists)
    with pytest.raises(DatasetError, match="'a' must hold numbers"):
        load(FRAME.assign(a=lists), "y")
