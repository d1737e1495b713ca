"""Data sets that scikit-learn carries in its wheel.

Source: https://scikit-learn.org/stable/datasets/toy_dataset.html
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpo_env.datasets.base import Dataset, DatasetInfo, Kind, Split
from hpo_env.datasets.encoding import encode_target
from hpo_env.datasets.extras import require

_UCI = "CC BY 4.0 (UCI Machine Learning Repository)"


@dataclass(frozen=True, kw_only=True)
class SklearnTable:
    """One bundled set, loaded by `sklearn.datasets.<function>`.

    Args:
        name: Key in the registry.
        function: The loader's name.
        kind: What the target is.
        split: The side it lies on.
        licence: Terms of the data.
        description: One line: what is predicted from what.
        image_shape: `(channels, height, width)` when rows are images.
    """

    name: str
    function: str
    kind: Kind
    split: Split
    licence: str
    description: str
    image_shape: tuple[int, int, int] | None = None

    def info(self) -> DatasetInfo:
        """Describe it for the registry."""
        return DatasetInfo(
            name=self.name,
            kind=self.kind,
            split=self.split,
            source=f"scikit-learn: {self.function}",
            licence=self.licence,
            description=self.description,
            loader=self.load,
            image_shape=self.image_shape,
        )

    def load(self) -> Dataset:
        """Load it; columns that never vary are left out, except in images."""
        bunch = getattr(require("sklearn.datasets"), self.function)()
        x = np.array(bunch.data, dtype=np.float32)
        y, _ = encode_target(np.asarray(bunch.target), self.kind, name="target")
        keep = np.full(x.shape[1], True) if self.image_shape else x.std(axis=0) > 0
        labels = [str(label) for label in getattr(bunch, "target_names", [])]
        return Dataset(
            name=self.name,
            kind=self.kind,
            x=x[:, keep],
            y=y,
            feature_names=tuple(np.array(bunch.feature_names)[keep].tolist()),
            num_classes=len(labels),
            image_shape=self.image_shape,
            class_names=tuple(labels),
        )


TABLES = (
    SklearnTable(
        name="digits",
        function="load_digits",
        kind="classification",
        split="test",
        licence=_UCI,
        description="which digit was written, from a grey 8x8 image (the test part of optdigits)",
        image_shape=(1, 8, 8),
    ),
    SklearnTable(
        name="breast_cancer",
        function="load_breast_cancer",
        kind="classification",
        split="train",
        licence=_UCI,
        description="malignant or benign, from 30 measures of cell nuclei; nearly saturated",
    ),
    SklearnTable(
        name="diabetes",
        function="load_diabetes",
        kind="regression",
        split="train",
        licence="unknown (Efron et al. 2004, Least Angle Regression)",
        description="progress of diabetes after a year, from age, sex, body mass and blood serum",
    ),
)
