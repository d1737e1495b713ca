"""Tables that a program holds already: a pandas DataFrame, or arrays.

A task is plain numbers and names. So a table in memory is kept under a name made of its content,
`memory:<fingerprint>`, which means the same in every process that holds the table, and nothing in
any other: there the error says to save it to a file.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard, Unpack

import numpy as np
from numpy.typing import NDArray

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
        if not isinstance(target, str) and target in data.columns:  # names can be whole numbers
            target = str(target)
        return _of_frame(data, reading).dataset(target=target, kind=kind)
    x, y = _pair(data)
    if target is not None:
        raise DatasetError(f"a pair (x, y) has its target in y; got {target=}. Leave it out")
    if _is_frame(x):
        name = str(getattr(y, "name", None) or _TARGET)
        with located("DataFrame"):
            _check_beside(x, y, name)
        joined = x.assign(**{name: np.asarray(y)})
        return _of_frame(joined, reading).dataset(target=name, kind=kind)
    if reading != Reading():
        raise DatasetError(f"arrays hold numbers, so {options} have no meaning. Leave them out")
    with located("arrays"):
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


def _of_frame(frame: pd.DataFrame, reading: Reading) -> Table:
    with located("DataFrame"):
        return FrameTable("DataFrame", "DataFrame", frame, reading)


def _check_beside(x: pd.DataFrame, y: Any, name: str) -> None:
    """Refuse a target that does not belong to the rows of `x`, or would replace a column."""
    if len(x) != len(y):
        raise DatasetError(f"x has {len(x)} rows and y has {len(y)}; they must be equal")
    if name in map(str, x.columns):
        raise DatasetError(
            f"x must not hold the target; it has a column {name!r}, as y is called. Remove it, or "
            "rename one of the two"
        )
    index = getattr(y, "index", None)
    if isinstance(index, type(x.index)) and not index.equals(x.index):
        raise DatasetError(
            "x and y must have the same index, as rows belong together by it; theirs differ. Sort "
            "them alike, or say that they belong together by position: y.to_numpy()"
        )


def _is_frame(data: object) -> TypeGuard[pd.DataFrame]:
    pandas = sys.modules.get("pandas")  # who has a DataFrame has imported it
    return pandas is not None and isinstance(data, pandas.DataFrame)


def _pair(data: Any) -> tuple[Any, Any]:
    if not isinstance(data, tuple | list) or len(data) != 2:
        msg = "a dataset must be a name, a path, a DataFrame or a pair (x, y) of arrays"
        raise DatasetError(f"{msg}; got {type(data).__name__}")
    return data[0], data[1]


def _array(name: str, values: Any) -> NDArray[Any]:
    """Make an array of what may be one: whoever owns it may go on writing to theirs."""
    if hasattr(values, "toarray"):
        raise DatasetError(f"{name} must be dense; got a sparse matrix. Give {name}.toarray()")
    try:
        array: NDArray[Any] = np.asanyarray(values).copy()
    except Exception as error:  # tensors on a device, ragged lists, whatever claims to be an array
        msg = f"{name} cannot be turned into an array ({error}). Give NumPy arrays"
        raise DatasetError(msg) from error
    if isinstance(array, np.ma.MaskedArray):
        array = _with_gaps(name, array)
    if array.dtype == object:
        array = _of_one_type(name, array)
    return np.asarray(array)


def _with_gaps(name: str, array: np.ma.MaskedArray[Any, Any]) -> NDArray[Any]:
    """Make NaN of what is masked."""
    data, is_masked = np.ma.getdata(array), np.ma.getmaskarray(array)
    if not is_masked.any():
        return data
    if data.dtype.kind not in "biuf":
        raise DatasetError(f"{name} must not be masked where it is no number. Fill it in")
    return np.where(is_masked, np.nan, data.astype(np.float64))


def _of_one_type(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Take texts, numbers or booleans out of Python objects."""
    types = {type(value) for value in array.flat}
    for allowed in ({str}, {bool}, {int, float}):
        if types <= allowed and types:
            return np.array(array.tolist())
    found = ", ".join(sorted(kind.__name__ for kind in types))
    raise DatasetError(
        f"{name} must hold numbers or text; got Python objects ({found}). Convert it"
    )
