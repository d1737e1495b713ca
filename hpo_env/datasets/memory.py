"""Tables that a program holds already: a pandas DataFrame, or arrays.

A task is plain numbers and names. So a table in memory is kept under a name made of its content,
`memory:<fingerprint>`, which means the same in every process that holds the table, and nothing in
any other: there the error says to save it to a file.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard, Unpack

import numpy as np

from hpo_env.datasets.array_table import ArrayTable
from hpo_env.datasets.base import Dataset, Kind
from hpo_env.datasets.frame_table import FrameTable
from hpo_env.datasets.reading import Reading, ReadingOptions
from hpo_env.datasets.tables import Table, located
from hpo_env.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

    InMemory = pd.DataFrame | tuple[Any, Any]
else:
    InMemory = Any

_PREFIX = "memory:"
_TARGET = "target"
_held: dict[str, Dataset] = {}


def load_in_memory(
    data: InMemory,
    *,
    target: str | None = None,
    kind: Kind | None = None,
    **options: Unpack[ReadingOptions],
) -> Dataset:
    """Make a data set of a DataFrame or of arrays, by the rules that hold for files.

    Args:
        data: A DataFrame; or a pair `(x, y)`, x `[R, D]` (or images `[R, channels, height, width]`)
            or a DataFrame, y `[R]`.
        target: The column of the DataFrame to predict; None for a pair.
        kind: What the target is; guessed when None.
        **options: How text is to be read, see `Reading.of`; for DataFrames only.

    Raises:
        DatasetError: It makes no task.
    """
    reading = Reading.of(**options)
    if _is_frame(data):
        if target is None:
            msg = "a DataFrame needs a target; say which column is to be predicted"
            raise DatasetError(f"{msg}, e.g. target='label'")
        with located("DataFrame"):
            table: Table = FrameTable("DataFrame", "DataFrame", data, reading)
        return table.dataset(target=target, kind=kind)
    x, y = _pair(data)
    if target is not None:
        raise DatasetError(f"a pair (x, y) has its target in y; got {target=}. Leave it out")
    if _is_frame(x):
        name = str(getattr(y, "name", None) or _TARGET)
        with located("DataFrame"):
            if len(x) != len(y):
                raise DatasetError(f"x has {len(x)} rows and y has {len(y)}; they must be equal")
            joined = x.assign(**{name: np.asarray(y)})
            table = FrameTable("DataFrame", "DataFrame", joined, reading)
        return table.dataset(target=name, kind=kind)
    if reading != Reading():
        raise DatasetError(f"arrays hold numbers, so {options} have no meaning. Leave them out")
    arrays = {"x": _array("x", x), _TARGET: _array("y", y)}
    return ArrayTable("arrays", "arrays", arrays).dataset(target=_TARGET, kind=kind)


def hold(dataset: Dataset) -> str:
    """Keep a data set for the rest of this process.

    Returns:
        The name by which `load` finds it.
    """
    name = f"{_PREFIX}{dataset.fingerprint}"
    _held.setdefault(name, dataset)
    return name


def is_held(name: str) -> bool:
    """Say whether a name is one that `hold` gives, in this process or in another."""
    return name.startswith(_PREFIX)


def held(name: str) -> Dataset:
    """Return what was kept under a name.

    Raises:
        DatasetError: It was kept by another process.
    """
    if name not in _held:
        raise DatasetError(
            f"{name[:20]}…: this table is in the memory of the process that made it, and not in "
            "this one. Save it to a file, e.g. with DataFrame.to_parquet, and give its path"
        )
    return _held[name]


def _is_frame(data: object) -> TypeGuard[pd.DataFrame]:
    pandas = sys.modules.get("pandas")  # who has a DataFrame has imported it
    return pandas is not None and isinstance(data, pandas.DataFrame)


def _pair(data: Any) -> tuple[Any, Any]:
    if not isinstance(data, tuple | list) or len(data) != 2:
        msg = "a dataset must be a name, a path, a DataFrame or a pair (x, y) of arrays"
        raise DatasetError(f"{msg}; got {type(data).__name__}")
    return data[0], data[1]


def _array(name: str, values: Any) -> np.ndarray[Any, Any]:
    try:
        array = np.array(values)  # a copy: whoever owns the original may go on writing to it
    except Exception as error:  # tensors on a device, ragged lists, whatever claims to be an array
        msg = f"{name} cannot be turned into an array ({error}). Give NumPy arrays"
        raise DatasetError(msg) from error
    if array.dtype == object:
        raise DatasetError(f"{name} must hold numbers or text; got Python objects. Convert it")
    return array
