"""Tables whose columns are kept as they are: numbers, categories and what is missing.

`Dataset` has numbers alone, each category a column of its own. Trees want the category, and learn
from what is missing; this is the same table for them.

Axes: R rows, D columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Dataset, Kind, MixedTable
from hpo_env.datasets.encoding import encode_target, is_text, numbers

if TYPE_CHECKING:
    import pandas as pd


def mix(
    name: str, kind: Kind, features: pd.DataFrame, target: NDArray[Any], *, target_name: str
) -> MixedTable:
    """Keep the columns of a data frame apart by their sort; those that never vary are left out.

    Codes follow the alphabet, so that they do not depend on the order of rows.
    """
    y, classes = encode_target(target, kind, name=target_name)
    columns: dict[str, tuple[NDArray[np.float64], bool]] = {}
    for label, column in features.items():
        if is_text(column):
            texts = column.astype(object).where(column.notna(), None)
            levels = sorted({str(text) for text in texts if text is not None})
            code = {level: float(k) for k, level in enumerate(levels)}
            cells = np.array([np.nan if text is None else code[str(text)] for text in texts])
        else:
            cells = np.asarray(numbers(column), dtype=np.float64)
        if np.fmin.reduce(cells) < np.fmax.reduce(cells):
            columns[str(label)] = cells, is_text(column)
    return MixedTable(
        name=name,
        kind=kind,
        x=np.stack([cells for cells, _ in columns.values()], axis=1),
        is_categorical=np.array([is_code for _, is_code in columns.values()]),
        y=y.astype(np.float64),
        num_classes=len(classes),
        column_names=tuple(columns),
    )


def as_mixed(dataset: Dataset) -> MixedTable:
    """Take the columns of a data set for numbers."""
    return MixedTable(
        name=dataset.name,
        kind=dataset.kind,
        x=dataset.x.astype(np.float64),
        is_categorical=np.zeros(dataset.x.shape[1], dtype=bool),
        y=dataset.y.astype(np.float64),
        num_classes=dataset.num_classes,
        column_names=dataset.feature_names,
    )
