"""Images that Debian packages carry, as IDX files.

They are loaded where their package is installed, when they are asked for by name. No task draws
them, so that draws are the same on every machine.

Source of the format: https://yann.lecun.com/exdb/mnist (a big-endian header, then unsigned bytes).
"""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Dataset, DatasetInfo, Split
from hpo_env.errors import DatasetError, MissingExtraError

_UNSIGNED_BYTES = 0x08  # the header's code of the only type in use
_NUM_ROWS = 4_000
"""The first rows of the training file, which come in no order: more than a task may use."""


@dataclass(frozen=True, kw_only=True)
class DebianImages:
    """Grey images and their labels, as a package installs them.

    Args:
        name: Key in the registry.
        package: The package's name.
        folder: Where it puts `train-images-idx3-ubyte.gz` and `train-labels-idx1-ubyte.gz`.
        split: The side it lies on.
        licence: Terms of the data.
        description: One line: what is predicted from what.
        class_names: What the labels 0..K-1 stand for.
    """

    name: str
    package: str
    folder: Path
    split: Split
    licence: str
    description: str
    class_names: tuple[str, ...]

    def info(self) -> DatasetInfo:
        """Describe it for the registry."""
        return DatasetInfo(
            name=self.name,
            kind="classification",
            split=self.split,
            source=f"Debian: {self.package}",
            licence=self.licence,
            description=self.description,
            loader=self.load,
            is_on_request=True,
        )

    def load(self) -> Dataset:
        """Load the first rows.

        Raises:
            MissingExtraError: The package is not installed.
            DatasetError: A file is not what it should be.
        """
        images = self._read("train-images-idx3-ubyte.gz", num_axes=3)
        labels = self._read("train-labels-idx1-ubyte.gz", num_axes=1)
        _, height, width = images.shape
        pixels = images.reshape(len(images), -1).astype(np.float32)
        return Dataset(
            name=self.name,
            kind="classification",
            x=pixels,
            y=labels.astype(np.int64),
            feature_names=tuple(f"pixel_{i}_{j}" for i in range(height) for j in range(width)),
            num_classes=len(self.class_names),
            image_shape=(1, height, width),
            class_names=self.class_names,
        )

    def _read(self, name: str, *, num_axes: int) -> NDArray[np.uint8]:
        path = self.folder / name
        if not path.is_file():
            raise MissingExtraError(
                f"data set {self.name!r} comes with the Debian package {self.package!r}, and there "
                f"is no {path}; install it with: apt-get install {self.package}"
            )
        return read_idx(path, num_axes=num_axes, num_rows=_NUM_ROWS)


def read_idx(path: Path, *, num_axes: int, num_rows: int) -> NDArray[np.uint8]:
    """Read the first rows of a gzipped IDX file of unsigned bytes.

    Args:
        path: The file.
        num_axes: How many axes its array must have, the rows included.
        num_rows: Rows to read at most.

    Returns:
        Array `[num_rows, ...]`, shorter where the file is.

    Raises:
        DatasetError: It is cut short, or another kind of file.
    """
    try:
        with gzip.open(path) as file:
            header = file.read(4)
            if header != bytes([0, 0, _UNSIGNED_BYTES, num_axes]):
                raise DatasetError(
                    f"{path}: an IDX file of unsigned bytes with {num_axes} axes was expected; it "
                    f"begins with {header!r}"
                )
            present, *shape = np.frombuffer(file.read(4 * num_axes), dtype=">u4").tolist()
            shape = [min(present, num_rows), *shape]
            data = file.read(math.prod(shape))
    except (OSError, EOFError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            f"{path}: this cannot be read as a gzipped IDX file ({error})"
        ) from error
    if len(data) != math.prod(shape):
        raise DatasetError(f"{path}: it ends after {len(data)} of {math.prod(shape)} values")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


TABLES = (
    DebianImages(
        name="fashion_mnist",
        package="dataset-fashion-mnist",
        folder=Path("/usr/share/datasets/fashion-mnist"),
        split="test",
        licence="MIT (Zalando SE)",
        description="which of ten kinds of clothes is shown, from a grey 28x28 image",
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
    ),
)
