"""Tables as they come from files and data bases: taken as they are, or refused with a way out."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo_env.automl import ControlledBoostingClassifier, ControlledBoostingRegressor
from hpo_env.automl.columns import Columns
from hpo_env.errors import ConfigurationError, DatasetError

pytestmark = [
    pytest.mark.filterwarnings("ignore:there are .* validation rows"),
    pytest.mark.filterwarnings("ignore:columns .* never vary in training"),
]

R = 60
NUMBERS = np.random.default_rng(0).normal(size=R)
LABELS = np.where(NUMBERS > 0.0, "yes", "no")


def fit(x: Any, y: Any = LABELS, *, kind: Any = ControlledBoostingClassifier, **given: Any) -> Any:
    return kind(n_estimators=3, random_state=0).fit(x, y, **given)


def beside_numbers(cells: Any) -> pd.DataFrame:
    return pd.DataFrame({"size": NUMBERS, "cells": cells})


@pytest.mark.parametrize(
    ("cells", "is_categorical"),
    [
        (["only"] * R, True),
        ([None] * R, True),
        ([np.nan] * R, False),
        (pd.array([pd.NA] * R, dtype="Int64"), False),
        (pd.Categorical([None] * R, categories=["a"]), True),
        (pd.array([pd.NA, True, False] * (R // 3), dtype="boolean"), True),
        (pd.array(["a", None, "b"] * (R // 3), dtype="string"), True),
        ([Decimal("1.5"), Decimal(2), None] * (R // 3), False),
        (pd.Series([1, 2.5, None] * (R // 3), dtype=object), False),
        ([1, "a", True] * (R // 3), True),
        ([b"a", b"b", None] * (R // 3), True),
        (pd.cut(NUMBERS, 3), True),
        (pd.arrays.IntervalArray.from_breaks(range(R + 1)), True),
        (pd.arrays.SparseArray(np.where(NUMBERS > 1.0, NUMBERS, 0.0)), False),
    ],
)
def test_columns_are_taken_as_they_come(cells: Any, is_categorical: bool) -> None:
    x = beside_numbers(cells)
    assert Columns.of(x, None).is_categorical.tolist() == [False, is_categorical]
    assert fit(x).predict(x[:2]).shape == (2,)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([datetime.date(2026, 1, 1)] * R, r"'cells' must hold .*; got times \(date\).*the weekday"),
        (pd.Series([pd.Timedelta(1, "D")] * R, dtype=object), r"times \(Timedelta\)"),
        (pd.date_range("2026", periods=R, tz="UTC"), r"times \(datetime64\[.*, UTC\]\)"),
        (pd.period_range("2026", periods=R, freq="D"), r"times \(Period\)"),
        ([[1.0]] * R, "cells of type list. Make columns of what they hold"),
        (NUMBERS + 1j, r"complex numbers \(complex128\). Make columns of the two parts"),
    ],
)
def test_columns_that_hold_neither_numbers_nor_levels_are_named(cells: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        fit(beside_numbers(cells))


class Elsewhere:
    """A table of another package: it can be turned into one of pandas, and has no `iloc`."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.columns = tuple(frame.columns)
        self._frame = frame

    def to_pandas(self) -> pd.DataFrame:
        return self._frame


def test_tables_of_other_packages_are_taken() -> None:
    frame = beside_numbers(LABELS)
    model = fit(Elsewhere(frame))
    np.testing.assert_array_equal(
        model.predict_proba(Elsewhere(frame)), fit(frame).predict_proba(frame)
    )


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (LABELS[:, None], "must hold numbers where it is a matrix.*'(yes|no)'.*data frame"),
        (
            beside_numbers(LABELS).set_axis(["twice", "twice"], axis=1),
            "names of their own; got 'twice' more than once. Rename them",
        ),
        (beside_numbers(LABELS)[[]], r"rows and columns; got shape \(60, 0\)"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(x: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        fit(x)


@pytest.mark.parametrize(
    ("labels", "dtype", "kind"),
    [
        (NUMBERS > 0.0, "boolean", "b"),
        ((NUMBERS > 0.0).astype(int), "Int64", "i"),
        ((NUMBERS > 0.0).astype(int), "UInt8", "u"),
        (NUMBERS > 0.0, "bool", "b"),
    ],
)
def test_labels_come_back_as_what_they_were(labels: Any, dtype: str, kind: str) -> None:
    x = beside_numbers(LABELS)
    for y in (pd.array(labels, dtype=dtype), pd.Series(labels, dtype=dtype)):
        predicted = fit(x, y).predict(x)
        assert predicted.dtype.kind == kind
        assert predicted.tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (pd.date_range("2026", periods=R), r"numbers for a regressor; got datetime64.*since a day"),
        (pd.to_timedelta(np.arange(R), "D"), "numbers for a regressor; got timedelta64"),
        (NUMBERS * 1e300, r"squares that can be told apart; .*e\+300\]. Give them in another unit"),
        (NUMBERS * 1e-310, "squares that can be told apart"),
        (pd.array([pd.NA, *NUMBERS[1:]], dtype="Float64"), "must not be missing; got NaN in 1 of"),
    ],
)
def test_targets_that_are_no_numbers_to_learn_from_are_refused(y: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        fit(beside_numbers(LABELS), y, kind=ControlledBoostingRegressor)


def test_rows_to_validate_by_and_weights_are_checked() -> None:
    x = beside_numbers(LABELS)
    with pytest.raises(DatasetError, match="X_val must have rows; got none"):
        fit(x, X_val=x[:0], y_val=LABELS[:0])
    with pytest.raises(ConfigurationError, match=r"sample_weight must hold numbers: .*'much'"):
        fit(x, sample_weight=["much"] * R)
