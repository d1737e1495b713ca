"""What becomes of a table's columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpo_env.datasets.encoding import encode_features, encode_target, infer_kind
from hpo_env.errors import DatasetError


def encode(max_levels: int = 12, **columns: Any) -> dict[str, list[float]]:
    x, names = encode_features(pd.DataFrame(columns), max_levels=max_levels)
    assert x.dtype == np.float32
    return dict(zip(names, x.T.tolist(), strict=True))


def test_numbers_stay_as_they_are_and_a_missing_one_is_nan() -> None:
    encoded = encode(a=[1.5, None, -2.0])
    np.testing.assert_array_equal(encoded["a"], [1.5, np.nan, -2.0])


def test_booleans_become_zero_and_one() -> None:
    assert encode(a=[True, False, True]) == {"a": [1.0, 0.0, 1.0]}


def test_a_missing_nullable_boolean_is_nan() -> None:
    encoded = encode(a=pd.array([True, None, False], dtype="boolean"))
    np.testing.assert_array_equal(encoded["a"], [1.0, np.nan, 0.0])


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_dates_become_days_since_1970(zone: str | None) -> None:
    dates = pd.to_datetime(pd.Series(["1970-01-02", None, "1971-01-01"])).dt.tz_localize(zone)
    np.testing.assert_array_equal(encode(a=dates)["a"], [1.0, np.nan, 365.0])


def test_text_with_two_levels_becomes_one_column() -> None:
    assert encode(a=["no", "yes", "no"]) == {"a=yes": [0.0, 1.0, 0.0]}


def test_text_with_more_levels_becomes_one_column_a_level() -> None:
    assert encode(a=["x", "z", "y"]) == {
        "a=x": [1.0, 0.0, 0.0],
        "a=y": [0.0, 0.0, 1.0],
        "a=z": [0.0, 1.0, 0.0],
    }


def test_missing_text_is_a_level_of_its_own() -> None:
    assert encode(a=["x", None, "y"])["a=missing"] == [0.0, 1.0, 0.0]


def test_numeric_categories_are_categories() -> None:
    assert set(encode(a=pd.Categorical([3, 1, 2]))) == {"a=1", "a=2", "a=3"}


def test_rare_levels_are_pooled_and_ties_go_by_the_alphabet() -> None:
    encoded = encode(max_levels=3, a=["d", "c", "b", "b", "a"])
    assert encoded == {
        "a=a": [0.0, 0.0, 0.0, 0.0, 1.0],
        "a=b": [0.0, 0.0, 1.0, 1.0, 0.0],
        "a=other": [1.0, 1.0, 0.0, 0.0, 0.0],
    }


def test_columns_that_never_vary_are_left_out() -> None:
    assert set(encode(a=[1, 1, 1], b=["x", "x", "x"], c=[1.0, None, 1.0], d=[1, 2, 3])) == {"d"}


def test_names_that_meet_are_kept_apart() -> None:
    columns: dict[str, Any] = {"a=y": [1, 2, 3], "a": ["x", "y", "x"]}
    assert set(encode(**columns)) == {"a=y", "a=y_"}


def test_twenty_thousand_columns_are_named_in_time() -> None:
    frame = pd.DataFrame(np.arange(60_000.0).reshape(3, 20_000)).rename(columns="c{}".format)
    _, names = encode_features(frame)  # quadratic naming would take minutes
    assert names == tuple(frame.columns)


@given(
    st.lists(st.sampled_from("abcdefghijklmnopq"), min_size=2, max_size=60),
    st.integers(min_value=2, max_value=20),
)
def test_one_hot_columns_of_a_text_column_never_overlap(text: list[str], most: int) -> None:
    x, names = encode_features(pd.DataFrame({"a": text}), max_levels=most)
    assert len(names) <= most
    assert (x.sum(axis=1) <= 1).all()
    if len(names) > 1:
        assert (x.sum(axis=1) == 1).all()


@given(st.lists(st.text(max_size=4), min_size=2, max_size=40).filter(lambda t: len(set(t)) > 1))
def test_labels_name_their_class_and_no_label_is_left_out(text: list[str]) -> None:
    labels, names = encode_target(np.array(text, dtype=object), "classification", name="y")
    assert labels.dtype == np.int64
    assert [names[label] for label in labels] == text
    assert set(labels.tolist()) == set(range(len(names)))


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (np.array(["a", "b"]), "classification"),
        (np.array(["a", "b"], dtype=object), "classification"),
        (np.array([True, False]), "classification"),
        (np.arange(20), "classification"),
        (np.arange(21), "regression"),
        (np.array([0.0, 1.0]), "classification"),
        (np.array([0.0, 0.5]), "regression"),
    ],
)
def test_kind_is_guessed_from_the_values(target: NDArray[Any], kind: str) -> None:
    assert infer_kind(target) == kind


def test_whole_number_labels_are_named_without_a_point() -> None:
    assert encode_target(np.array([1.0, 0.0]), "classification", name="y")[1] == ("0", "1")


def test_a_numeric_target_becomes_float32() -> None:
    numbers, names = encode_target(np.array([1, 2, 3]), "regression", name="y")
    assert numbers.dtype == np.float32
    assert names == ()


def test_text_cannot_be_a_regression_target() -> None:
    with pytest.raises(DatasetError, match=r"'y' holds text.*kind='classification'"):
        encode_target(np.array(["a", "b"]), "regression", name="y")
