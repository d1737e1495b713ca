"""The 100,000 series of M4, from a folder into which their files were put.

The competition publishes two CSV files a frequency, `Monthly-train.csv` and `Monthly-test.csv`
(Makridakis, Spiliotis and Assimakopoulos, The M4 Competition, 2020; github.com/Mcompetitions/
M4-methods, folder Dataset). A row is a series: its name, then its observations, with empty cells
after the last. Nothing is downloaded here.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import DatasetError

Array = NDArray[np.float64]

FREQUENCIES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "Yearly": (1, 6),
        "Quarterly": (4, 8),
        "Monthly": (12, 18),
        "Weekly": (1, 13),
        "Daily": (1, 14),
        "Hourly": (24, 48),
    }
)
"""Season length and horizon of each frequency, those that the competition's errors are taken by."""


def read_m4(folder: Path) -> Iterator[tuple[str, str, int, int, Array]]:
    """Read every series of the frequencies whose two files are there.

    Args:
        folder: With `<Frequency>-train.csv` and `<Frequency>-test.csv`, also in subfolders `Train`
            and `Test` as the competition has them.

    Yields:
        Name, frequency in lower case, season length, horizon, and all observations, those that are
        to be forecast last `[T]`.

    Raises:
        DatasetError: There is no pair of files, a series lacks its other half, has another number
            of observations to be forecast than its frequency, or holds what is no number.
    """
    is_empty = True
    for frequency, (period, horizon) in FREQUENCIES.items():
        files = [_find(folder, frequency, part) for part in ("train", "test")]
        if files[0] is None or files[1] is None:
            continue
        is_empty = False
        train, test = (_rows(file) for file in files if file is not None)
        lacking = sorted(set(train) ^ set(test))
        if lacking:
            raise DatasetError(f"{files[0]}, {files[1]}: series {lacking[0]!r} is in one of them")
        for name, seen in train.items():
            if len(test[name]) != horizon:
                raise DatasetError(
                    f"{files[1]}: series {name!r} must have {horizon} observations; got "
                    f"{len(test[name])}"
                )
            yield name, frequency.lower(), period, horizon, np.concatenate([seen, test[name]])
    if is_empty:
        raise DatasetError(
            f"{folder}: holds no files of M4, such as Monthly-train.csv and Monthly-test.csv; they "
            "are at github.com/Mcompetitions/M4-methods, folder Dataset"
        )


def _find(folder: Path, frequency: str, part: str) -> Path | None:
    name = f"{frequency}-{part}.csv"
    for path in (folder / name, folder / part.capitalize() / name):
        if path.is_file():
            return path
    return None


def _rows(path: Path) -> dict[str, Array]:
    """Read the rows after the head; a name is in the first column."""
    found: dict[str, Array] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            next(reader, None)
            for name, *cells in reader:
                known = [cell for cell in cells if cell not in ("", "NA")]
                found[name] = np.array(known, dtype=np.float64)
                if not len(known) or not np.isfinite(found[name]).all():
                    raise DatasetError(f"{path}: series {name!r} must hold finite numbers")
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as rows of numbers: {error}") from error
    return found
