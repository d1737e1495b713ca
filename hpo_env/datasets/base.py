"""What a data set is, whoever it comes from.

Sources (`sklearn_tables.py`, `rdatasets_tables.py`, `files.py`, `memory.py`) produce a `Dataset`;
tasks consume it. A `Dataset` is raw: nothing is imputed, standardised or split here, because each
task does so with its own training rows only.

Axes: R rows, D features, K classes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import DatasetError

Kind = Literal["classification", "regression"]
Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Features and target of one supervised problem.

    Args:
        name: Name in the registry, or the file's name.
        kind: What the target is.
        x: Features `[R, D]`, float32, finite or NaN; NaN means missing.
        y: Target `[R]`: int64 labels 0..K-1 for classification, finite float32 for regression.
        feature_names: D distinct names.
        num_classes: K; 0 for regression.
        image_shape: `(channels, height, width)` with product D when rows are images, else None.
        class_names: K names, label k being `class_names[k]`; empty when they have none.
        target_shift: What was subtracted from a regression target to keep its digits.

    Raises:
        DatasetError: A shape, a dtype or a value contradicts the above.
    """

    name: str
    kind: Kind
    x: NDArray[np.float32]
    y: NDArray[Any]
    feature_names: tuple[str, ...]
    num_classes: int
    image_shape: tuple[int, int, int] | None = None
    class_names: tuple[str, ...] = ()
    target_shift: float = 0.0

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what a task sees of it: all but its name; 64 hexadecimal digits.

        The same table hashes alike as CSV and as Parquet, and differently when it is read
        differently.
        """
        facts = {
            "kind": self.kind,
            "shape": self.x.shape,
            "feature_names": self.feature_names,
            "class_names": self.class_names,
            "image_shape": self.image_shape,
            "target_shift": self.target_shift,
        }
        content = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for array in (self.x, self.y):
            content.update(np.ascontiguousarray(array).data)
        return content.hexdigest()

    def __deepcopy__(self, memo: dict[int, object]) -> Dataset:
        """Return itself: nothing in it changes, and copies of environments need not copy data."""
        return self

    def __post_init__(self) -> None:
        """Check shapes, dtypes and values."""
        self._check(
            self.x.ndim == 2 and self.x.dtype == np.float32,
            f"x must be float32 [R, D]; got {self.x.dtype} {self.x.shape}",
        )
        self._check(
            self.y.shape == self.x.shape[:1],
            f"y must be [R] with R={len(self.x)}; got shape {self.y.shape}",
        )
        self._check(
            len(set(self.feature_names)) == len(self.feature_names) == self.x.shape[1],
            f"feature_names must be {self.x.shape[1]} distinct names; got {self.feature_names}",
        )
        self._check(not np.isinf(self.x).any(), "x must be finite or NaN; it holds infinities")
        self._check(
            self.image_shape is None or int(np.prod(self.image_shape)) == self.x.shape[1],
            f"image_shape {self.image_shape} must have product D={self.x.shape[1]}",
        )
        if self.kind == "classification":
            self._check_labels()
        else:
            self._check(
                self.y.dtype == np.float32 and bool(np.isfinite(self.y).all()),
                f"a regression target must be finite float32; got {self.y.dtype}",
            )
            self._check(self.num_classes == 0, f"regression has no classes: {self.num_classes=}")

    def _check_labels(self) -> None:
        self._check(self.y.dtype == np.int64, f"labels must be int64; got {self.y.dtype}")
        present = np.unique(self.y)
        self._check(
            self.num_classes >= 2 and np.array_equal(present, np.arange(self.num_classes)),
            f"labels must be exactly 0..K-1 with K={self.num_classes} >= 2; got {present[:20]}",
        )
        self._check(
            len(self.class_names) in (0, self.num_classes),
            f"class_names must be empty or {self.num_classes} long; got {self.class_names}",
        )

    def _check(self, holds: bool, rule: str) -> None:
        if not holds:
            raise DatasetError(f"data set {self.name!r}: {rule}")


@dataclass(frozen=True, kw_only=True, eq=False)
class MixedTable:
    """Columns of two sorts, and the target.

    Args:
        name: Of the data set.
        kind: What the target is.
        x: Cells `[R, D]`, float64: numbers, or codes 0, 1, … of categories; NaN where missing.
        is_categorical: Which columns hold codes, bool `[D]`.
        y: Labels 0..K-1 or numbers `[R]`, float64.
        num_classes: K; 0 for regression.
        column_names: D of them.
    """

    name: str
    kind: Kind
    x: NDArray[np.float64]
    is_categorical: NDArray[np.bool_]
    y: NDArray[np.float64]
    num_classes: int
    column_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetInfo:
    """What is known of a named data set before it is loaded.

    Args:
        name: Its key in the registry.
        kind: What its target is.
        split: The side of meta-training that it lies on.
        source: Where it comes from, for people.
        licence: Terms of use; "unknown" where nobody states them.
        description: One line: what is predicted from what.
        loader: Makes the data set anew.
        is_on_request: Whether it is used only when asked for by name: not every machine has it, or
            one family alone draws from it.
        image_shape: `(channels, height, width)` of images that networks for images alone draw
            from; None for all else.
        mixed_loader: Makes the same table with its categories as they are; None where there are
            none.
    """

    name: str
    kind: Kind
    split: Split
    source: str
    licence: str
    description: str
    loader: Callable[[], Dataset]
    is_on_request: bool = False
    image_shape: tuple[int, int, int] | None = None
    mixed_loader: Callable[[], MixedTable] | None = None


def describe(dataset: Dataset) -> dict[str, object]:
    """Sum up a data set in plain numbers that can be printed or written as JSON.

    Args:
        dataset: What to describe.

    Returns:
        `name`, `kind`, `rows`, `features`, `missing_share` (of all cells, in [0, 1]),
        `image_shape`; then for classification `classes` (name -> rows) and `majority_share` (the
        accuracy of always guessing the largest class), and for regression `target_min`,
        `target_max`, `target_mean`, `target_std` (the error of always guessing the mean).

    Example:
        >>> x = np.array([[0.0], [np.nan], [1.0], [2.0]], dtype=np.float32)
        >>> y = np.array([0, 0, 0, 1])
        >>> toy = Dataset(
        ...     name="toy", kind="classification", x=x, y=y, feature_names=("a",), num_classes=2
        ... )
        >>> summary = describe(toy)
        >>> summary["missing_share"], summary["majority_share"], summary["classes"]
        (0.25, 0.75, {'0': 3, '1': 1})
    """
    summary: dict[str, object] = {
        "name": dataset.name,
        "kind": dataset.kind,
        "rows": len(dataset.x),
        "features": dataset.x.shape[1],
        "missing_share": float(np.isnan(dataset.x).mean()),
        "image_shape": dataset.image_shape,
    }
    if dataset.kind == "classification":
        counts = np.bincount(dataset.y, minlength=dataset.num_classes)
        names = dataset.class_names or tuple(map(str, range(dataset.num_classes)))
        summary["classes"] = dict(zip(names, counts.tolist(), strict=True))
        summary["majority_share"] = float(counts.max() / counts.sum())
        return summary
    y = dataset.y.astype(np.float64) + dataset.target_shift
    summary["target_min"], summary["target_max"] = float(y.min()), float(y.max())
    summary["target_mean"], summary["target_std"] = float(y.mean()), float(y.std())
    return summary
