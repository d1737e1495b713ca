"""What is missing in a picture, told from what is around it: reconstruction as a table of numbers.

A row is a grey patch out of one of matplotlib's sample pictures. Its border is known, its middle is
to be told. Losses fall far and for long, as those of autoencoders do, and there are more patches
than a run overfits. No default task draws them; they are there for large tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Dataset, DatasetInfo, Split
from hpo_env.datasets.extras import require
from hpo_env.seeding import stream

_SIDE = 7
_NUM_ROWS = 8000
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True, kw_only=True)
class MissingPixels:
    """Patches of one picture.

    Args:
        name: Key in the registry.
        heights: Reads the picture, `[rows, columns]`.
        split: The side of meta-training that it lies on.
        licence: Terms of the picture.
        description: One line.
    """

    name: str
    heights: Callable[[], NDArray[Any]]
    split: Split
    licence: str
    description: str

    def info(self) -> DatasetInfo:
        """Describe it for the registry."""
        return DatasetInfo(
            name=self.name,
            kind="regression",
            split=self.split,
            source="matplotlib: sample data",
            licence=self.licence,
            description=self.description,
            loader=self.load,
            is_on_request=True,
        )

    def load(self) -> Dataset:
        """Cut patches from anywhere in the picture, the same at every call.

        Raises:
            MissingExtraError: matplotlib or Pillow is not installed.
        """
        grey = self.heights()
        rng = stream(0, "pixels", self.name)
        tops, lefts = (rng.integers(0, length - _SIDE + 1, _NUM_ROWS) for length in grey.shape)
        place = np.arange(_SIDE)
        patches = grey[tops[:, None, None] + place[:, None], lefts[:, None, None] + place]
        rows, columns = np.indices((_SIDE, _SIDE))
        is_border = (rows % (_SIDE - 1) == 0) | (columns % (_SIDE - 1) == 0)
        names = zip(rows[is_border], columns[is_border], strict=True)
        return Dataset(
            name=self.name,
            kind="regression",
            x=np.ascontiguousarray(patches[:, is_border], dtype=np.float32),
            y=patches[:, _SIDE // 2, _SIDE // 2].astype(np.float32),
            feature_names=tuple(f"pixel_{row}_{column}" for row, column in names),
            num_classes=0,
        )


def _portrait() -> NDArray[Any]:
    require("PIL.Image")  # which matplotlib reads it with
    image = require("matplotlib.image").imread(_sample("grace_hopper.jpg"))
    grey: NDArray[Any] = image.astype(np.float64) @ np.array(_LUMINANCE)
    return grey


def _terrain() -> NDArray[Any]:
    with np.load(_sample("jacksboro_fault_dem.npz")) as arrays:
        heights: NDArray[Any] = arrays["elevation"].astype(np.float64)
    return heights


def _sample(file: str) -> str:
    return str(require("matplotlib.cbook").get_sample_data(file, asfileobj=False))


TABLES = (
    MissingPixels(
        name="portrait_pixels",
        heights=_portrait,
        split="train",
        licence="public domain (US Navy)",
        description="the middle of a grey 7x7 patch of a portrait, from its border",
    ),
    MissingPixels(
        name="terrain_heights",
        heights=_terrain,
        split="train",
        licence="public domain (USGS)",
        description="the height in the middle of a square of 7x7 points, from its border",
    ),
)
