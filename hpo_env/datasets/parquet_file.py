"""Parquet: types are checked one by one, before pandas makes objects of what it does not know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_env.datasets.extras import require
from hpo_env.datasets.frame_table import FrameTable
from hpo_env.datasets.narrowing import check_gaps_in_whole
from hpo_env.datasets.reading import Reading
from hpo_env.datasets.tables import check_names, check_size
from hpo_env.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

_ROW_NUMBERS = re.compile(r"__index_level_\d+__")  # what pandas calls an index without a name
_BYTES_A_CELL = 8


def read_parquet(path: Path, reading: Reading) -> FrameTable:
    """Read a Parquet file of numbers, booleans, dates and text.

    Raises:
        DatasetError: It cannot be read so; the message does not name the file.
    """
    frame = _read(path)
    row_numbers = [name for name in frame if _ROW_NUMBERS.fullmatch(str(name))]
    return FrameTable(str(path), path.name, frame.drop(columns=row_numbers), reading)


def _read(path: Path) -> pd.DataFrame:
    pyarrow, parquet = require("pyarrow"), require("pyarrow.parquet")
    require("pandas")
    with parquet.ParquetFile(path) as file:
        names, metadata = file.schema_arrow.names, file.metadata
        check_size(metadata.num_rows * len(names) * _BYTES_A_CELL)
        check_names(names)
        for field in file.schema_arrow:
            _check_type(field, pyarrow.types)
        table = file.read()
    table.validate(full=True)  # text that is no UTF-8 would fail much later
    for index, field in enumerate(table.schema):
        if pyarrow.types.is_integer(field.type) and 0 < table.column(index).null_count < len(table):
            extremes = require("pyarrow.compute").min_max(table.column(index)).as_py()
            name = f"column {field.name!r}"
            check_gaps_in_whole(extremes["min"], extremes["max"], name=name)
        if pyarrow.types.is_decimal(field.type):  # pandas would make text of exact decimals
            table = table.set_column(index, field.name, table.column(index).cast("float64"))
    frame: pd.DataFrame = table.to_pandas(date_as_object=False, ignore_metadata=True)
    return frame


def _check_type(field: Any, types: Any) -> None:
    found = field.type.value_type if types.is_dictionary(field.type) else field.type
    allowed = (
        types.is_integer,
        types.is_floating,
        types.is_decimal,
        types.is_boolean,
        types.is_date,
        types.is_timestamp,
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        types.is_null,
    )
    if not any(is_allowed(found) for is_allowed in allowed):
        msg = f"columns must hold numbers, booleans, dates or text; {field.name!r} holds"
        raise DatasetError(f"{msg} {field.type}. Remove it, or turn it into numbers")
