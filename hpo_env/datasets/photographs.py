"""Patches of the photographs that scikit-learn carries, for the sides that digits are not on.

A patch is grey, and what is to be said of it is the part of the photograph that it comes from. No
default task draws them; they are there for networks that take images alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpo_env.datasets.base import Dataset, DatasetInfo, Split
from hpo_env.datasets.extras import require

_PARTS = (2, 4)
"""Rows and columns of parts that a photograph is cut into: its classes."""
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """Patches of one photograph.

    Args:
        name: Key in the registry.
        file: The photograph among scikit-learn's.
        side: Pixels of a patch's sides.
        split: The side of meta-training that it lies on.
        description: One line.
    """

    name: str
    file: str
    side: int
    split: Split
    description: str

    def info(self) -> DatasetInfo:
        """Describe it for the registry."""
        return DatasetInfo(
            name=self.name,
            kind="classification",
            split=self.split,
            source="scikit-learn: sample images",
            licence="CC BY 2.0",
            description=self.description,
            loader=self.load,
            is_on_request=True,
            image_shape=(1, self.side, self.side),
        )

    def load(self) -> Dataset:
        """Cut the photograph into patches that do not overlap.

        Raises:
            MissingExtraError: scikit-learn or Pillow is not installed.
        """
        require("PIL.Image")  # which scikit-learn reads them with
        pixels = np.asarray(require("sklearn.datasets").load_sample_image(self.file))
        grey = (pixels.astype(np.float64) @ np.array(_LUMINANCE)).astype(np.float32)
        rows, columns = (length // self.side for length in grey.shape)
        cut = grey[: rows * self.side, : columns * self.side]
        patches = cut.reshape(rows, self.side, columns, self.side).transpose(0, 2, 1, 3)
        part_row = np.arange(rows) * _PARTS[0] // rows
        part_column = np.arange(columns) * _PARTS[1] // columns
        labels = part_row[:, None] * _PARTS[1] + part_column
        return Dataset(
            name=self.name,
            kind="classification",
            x=np.ascontiguousarray(patches.reshape(rows * columns, -1)),
            y=labels.ravel().astype(np.int64),
            feature_names=tuple(
                f"pixel_{i}_{j}" for i in range(self.side) for j in range(self.side)
            ),
            num_classes=_PARTS[0] * _PARTS[1],
            image_shape=(1, self.side, self.side),
            class_names=tuple(f"part_{i}_{j}" for i in range(_PARTS[0]) for j in range(_PARTS[1])),
        )


TABLES = (
    Photograph(
        name="photograph_temple",
        file="china.jpg",
        side=12,
        split="train",
        description="which part of a photograph of a temple a grey 12x12 patch comes from",
    ),
    Photograph(
        name="photograph_temple_close",
        file="china.jpg",
        side=10,
        split="train",
        description="which part of a photograph of a temple a grey 10x10 patch comes from",
    ),
    Photograph(
        name="photograph_flower",
        file="flower.jpg",
        side=12,
        split="validation",
        description="which part of a photograph of a flower a grey 12x12 patch comes from",
    ),
)
