"""A `Dataset` refuses to exist when it contradicts its own description."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpo_env.datasets import Dataset, describe
from hpo_env.errors import DatasetError


def make(**changes: Any) -> Dataset:
    fields: dict[str, Any] = {
        "name": "toy",
        "kind": "classification",
        "x": np.array([[0.0, 1.0], [np.nan, 2.0], [1.0, 3.0], [2.0, 4.0]], dtype=np.float32),
        "y": np.array([0, 0, 1, 0]),
        "feature_names": ("a", "b"),
        "num_classes": 2,
    }
    return Dataset(**(fields | changes))


REGRESSION = {
    "kind": "regression",
    "y": np.array([0.0, 1.0, 2.0, 5.0], dtype=np.float32),
    "num_classes": 0,
}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"x": np.zeros((4, 2))}, "float32"),
        ({"x": np.zeros(4, dtype=np.float32)}, r"\[R, D\]"),
        ({"x": np.full((4, 2), np.inf, dtype=np.float32)}, "finite or NaN"),
        ({"y": np.array([0, 1, 1])}, "R=4"),
        ({"y": np.array([0, 0, 1, 0], dtype=np.int32)}, "int64"),
        ({"y": np.array([0, 0, 2, 0]), "num_classes": 3}, r"exactly 0\.\.K-1"),
        ({"y": np.array([0, 0, 0, 0]), "num_classes": 1}, "K=1 >= 2"),
        ({"feature_names": ("a", "a")}, "distinct"),
        ({"feature_names": ("a",)}, "2 distinct names"),
        ({"image_shape": (1, 3, 1)}, "product D=2"),
        ({"class_names": ("no",)}, "class_names"),
        (REGRESSION | {"y": np.array([0.0, 1.0, 2.0, 5.0])}, "float32"),
        (REGRESSION | {"y": np.array([0, np.nan, 2, 5], dtype=np.float32)}, "finite"),
        (REGRESSION | {"num_classes": 2}, "no classes"),
    ],
)
def test_a_contradiction_is_refused_by_name_and_rule(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(DatasetError, match=rf"'toy'.*{rule}"):
        make(**changes)


def test_description_of_classes_counts_their_rows() -> None:
    summary = describe(make(class_names=("no", "yes")))
    assert summary == {
        "name": "toy",
        "kind": "classification",
        "rows": 4,
        "features": 2,
        "missing_share": 0.125,
        "image_shape": None,
        "classes": {"no": 3, "yes": 1},
        "majority_share": 0.75,
    }


def test_description_of_a_regression_target_gives_range_and_spread() -> None:
    summary = describe(make(**REGRESSION))
    assert (summary["target_min"], summary["target_max"]) == (0.0, 5.0)
    assert summary["target_mean"] == 2.0
    assert summary["target_std"] == pytest.approx(np.sqrt(3.5))
    assert "classes" not in summary
