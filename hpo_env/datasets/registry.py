"""Every named data set, and the side it lies on.

A split is a property of the *data set*: meta-training sees the training sets, checkpoints and
settings are chosen on the validation sets, results come from the test sets. Data that is related
(the same rows with another target, the same survey) stays on one side.

To add a data set, add one entry in its source's file.
"""

from __future__ import annotations

from functools import cache

from hpo_env.datasets import (
    debian_images,
    photographs,
    pixels,
    rdatasets_boosting,
    rdatasets_classification,
    rdatasets_regression,
    sklearn_tables,
)
from hpo_env.datasets.base import Dataset, DatasetInfo, Kind, MixedTable, Split
from hpo_env.datasets.mixed import as_mixed
from hpo_env.datasets.texts import is_text, text_names
from hpo_env.errors import DatasetError, unknown_name

__all__ = [
    "DatasetInfo",
    "Split",
    "dataset_info",
    "dataset_names",
    "image_names",
    "is_named",
    "large_names",
    "load_dataset",
    "load_mixed",
]


_FEWEST_OF_LARGE = 2500


@cache
def _registry() -> dict[str, DatasetInfo]:
    infos = [
        table.info()
        for source in (
            sklearn_tables,
            rdatasets_classification,
            rdatasets_regression,
            debian_images,
            photographs,
            pixels,
            rdatasets_boosting,
        )
        for table in source.TABLES
    ]
    registry = {info.name: info for info in sorted(infos, key=lambda info: info.name)}
    assert len(registry) == len(infos), "two data sets share a name"
    return registry


def dataset_names(*, split: Split | None = None, kind: Kind | None = None) -> tuple[str, ...]:
    """List the named data sets in alphabetical order, without those that are used on request only.

    Args:
        split: Only this side; None for all.
        kind: Only this kind of target; None for both.

    Example:
        >>> "digits" in dataset_names(split="test", kind="classification")
        True
    """
    return tuple(
        info.name
        for info in _registry().values()
        if split in (None, info.split) and kind in (None, info.kind) and not info.is_on_request
    )


def image_names(*, split: Split | None = None) -> tuple[str, ...]:
    """List the sets that networks for images alone draw from, in alphabetical order.

    Args:
        split: Only this side; None for all.

    Example:
        >>> image_names(split="validation")
        ('photograph_flower',)
    """
    return tuple(
        info.name
        for info in _registry().values()
        if split in (None, info.split) and info.image_shape is not None
    )


@cache
def large_names(*, split: Split) -> tuple[str, ...]:
    """List the tables of many rows and a number to predict, in alphabetical order.

    They are those that have at least 2,500 rows, on request or not, and are loaded to be counted.

    Args:
        split: The side that they lie on.

    Raises:
        MissingExtraError: The package that carries one is not installed.

    Example:
        >>> large_names(split="validation")
        ('chemistry_grades', 'life_expectancy', 'london_exams', 'texas_housing', 'vietnam_spending')
    """
    return tuple(
        info.name
        for info in _registry().values()
        if info.split == split
        and info.kind == "regression"
        and len(load_dataset(info.name).x) >= _FEWEST_OF_LARGE
    )


def is_named(name: str) -> bool:
    """Say whether there is a data set or a text of a name, listed or on request."""
    return name in _registry() or is_text(name)


def dataset_info(name: str) -> DatasetInfo:
    """Look a data set up without loading it.

    Args:
        name: One of `dataset_names()`.

    Raises:
        UnknownNameError: There is none of that name.
        DatasetError: It is a text.
    """
    registry = _registry()
    if is_text(name):
        raise DatasetError(
            f"data set {name!r} is a text, which has tokens and no rows of numbers; take "
            "load_text, or a model that reads texts"
        )
    if name not in registry:
        raise unknown_name("data set", name, (*registry, *text_names()))
    return registry[name]


@cache
def load_dataset(name: str) -> Dataset:
    """Load a named data set; the second call in a process returns the same object.

    Args:
        name: One of `dataset_names()`.

    Returns:
        The data set; its arrays are read-only, as every task in the process shares them.

    Raises:
        UnknownNameError: There is none of that name.
        MissingExtraError: The package that carries it is not installed.
    """
    dataset = dataset_info(name).loader()
    dataset.x.setflags(write=False)
    dataset.y.setflags(write=False)
    return dataset


@cache
def load_mixed(name: str) -> MixedTable:
    """Load a named data set with its categories as they are; numbers where it has none.

    Returns:
        The table; its arrays are read-only.

    Raises:
        UnknownNameError: There is none of that name.
        MissingExtraError: The package that carries it is not installed.
    """
    loader = dataset_info(name).mixed_loader
    table = as_mixed(load_dataset(name)) if loader is None else loader()
    for array in (table.x, table.y, table.is_categorical):
        array.setflags(write=False)
    return table
