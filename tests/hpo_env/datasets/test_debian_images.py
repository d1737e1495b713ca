"""Images of Debian packages: read where the package is, refused by its name where it is not."""

from __future__ import annotations

import gzip
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpo_env.datasets import dataset_info, dataset_names, load_dataset
from hpo_env.datasets.debian_images import TABLES, read_idx
from hpo_env.errors import DatasetError, MissingExtraError

FASHION = next(table for table in TABLES if table.name == "fashion_mnist")
IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    write_idx(tmp_path / IMAGES, rng.integers(256, size=(50, 28, 28)).astype(np.uint8))
    write_idx(tmp_path / LABELS, (np.arange(50) % 10).astype(np.uint8))
    return tmp_path


def test_its_files_become_a_data_set(folder: Path) -> None:
    dataset = replace(FASHION, folder=folder).load()
    assert dataset.image_shape == (1, 28, 28)
    assert dataset.x.shape == (50, 784)
    assert dataset.y.tolist() == [i % 10 for i in range(50)]
    assert len(dataset.class_names) == 10


def test_only_the_first_rows_are_read(folder: Path) -> None:
    rows = read_idx(folder / IMAGES, num_axes=3, num_rows=7)
    assert rows.shape == (7, 28, 28)
    np.testing.assert_array_equal(rows, read_idx(folder / IMAGES, num_axes=3, num_rows=99)[:7])


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match="apt-get install dataset-fashion-mnist"):
        replace(FASHION, folder=tmp_path).load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "cannot be read as a gzipped IDX file"),
        (gzip.compress(b"\0\0\x0d\x03" + bytes(12)), "unsigned bytes with 3 axes was expected"),
        (gzip.compress(b"\0\0\x08\x03" + bytes(5)), "cannot be read as a gzipped IDX file"),
        (gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 2, 2)), "ends after 0 of 8"),
    ],
    ids=["not gzip", "other type", "short header", "no pixels"],  # an archive holds its time
)
def test_a_damaged_file_is_refused(folder: Path, content: bytes, message: str) -> None:
    (folder / IMAGES).write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        replace(FASHION, folder=folder).load()


def test_it_is_known_by_name_and_never_drawn() -> None:
    info = dataset_info("fashion_mnist")
    assert (info.split, info.is_on_request) == ("test", True)
    assert "fashion_mnist" not in dataset_names()


@pytest.mark.skipif(not (FASHION.folder / IMAGES).is_file(), reason="package is not installed")
def test_the_installed_package_is_loaded() -> None:
    dataset = load_dataset("fashion_mnist")
    assert dataset.x.shape == (4000, 784)
    assert np.bincount(dataset.y).min() > 300
