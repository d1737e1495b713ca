"""Whatever is in a file, it becomes a data set or one of the package's own errors, soon.

A few hundred inputs run with the tests; `HPO_CONTROL_FUZZ_INPUTS=100000 pytest <this file>` tries
more, and `HPO_CONTROL_FUZZ_SEED` others.
"""

from __future__ import annotations

import io
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpo_env.datasets import Dataset, open_table
from hpo_env.datasets.column_summary import summarize_columns
from hpo_env.datasets.reading import Reading
from hpo_env.errors import HPOControlError

NUM_INPUTS = int(os.environ.get("HPO_CONTROL_FUZZ_INPUTS", "600"))
SEED = int(os.environ.get("HPO_CONTROL_FUZZ_SEED", "0"))
MAX_SECONDS = 1.0
MAX_BYTES = 2**29

R = 40
ALPHABET = [*"019,;|\t \n\r\"'.-+eE$%?/:\0éß", "NA", "inf", "1e999", "2024-01-31", "\ufeff"]
CELLS = [
    *("", " ", "0", "1", "-0.0", "1e308", "-1e-320", "inf", "nan", "NA", "None", "?", "<5"),
    *("1,200", "3,5", "$5", "7%", "12:30", "2024-01-31", "31.1.2024", "True", "a", "b", "é"),
    *("\0", "a" * 300, '"', "9" * 25, "-" + "9" * 25, "1_000", "0x1F", "١٢"),
    *("1" * 5000, "(5)", "y", "--"),
]  # fmt: skip
READINGS = [
    Reading(),
    Reading.of(decimal=",", thousands="."),
    Reading.of(missing=["?", -1], units=["$", "%", "<"], dates={"c1": "%H:%M"}),
    Reading.of(categories=["c0"], thousands=","),
]
Generator = np.random.Generator


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "c0": rng.normal(size=R),
            "c1": rng.choice(["u", "v", "w"], size=R),
            "c2": pd.to_datetime("2026-01-01") + pd.to_timedelta(np.arange(R), "h"),
            "c3": 10**18 + np.arange(R),
            "y": rng.integers(0, 3, R),
        }
    )


def seed_file(suffix: str) -> bytes:
    if suffix == ".csv":
        return frame().drop(columns="c2").to_csv(index=False).encode()
    file = io.BytesIO()
    if suffix == ".parquet":
        frame().to_parquet(file)
    else:
        table = frame()
        np.savez(
            file, x=table[["c0", "c3"]].to_numpy(), y=table["y"].to_numpy(), z=np.array(["a"] * R)
        )
    return file.getvalue()


def mutate(content: bytes, rng: Generator) -> bytes:
    """Flip, cut, repeat and insert in a few places."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(0, len(data) + 1))
        size = int(rng.geometric(0.1))
        match int(rng.integers(0, 6)):
            case 0 if at < len(data):
                data[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at : at + size] * int(rng.integers(1, 4))
            case 3:
                data[at:at] = rng.bytes(size)
            case 4:
                data[at : at + 4] = (2 ** int(rng.integers(0, 32)) - 1).to_bytes(4, "little")
            case _:
                data[at:at] = str(rng.choice(ALPHABET)).encode()
        if rng.random() < 0.02:
            del data[at:]
    return bytes(data)


def compose(rng: Generator) -> bytes:
    """Write a table of strange cells."""
    num_columns, delimiter = int(rng.integers(1, 5)), str(rng.choice(list(",;|\t ")))
    columns = []
    for _ in range(num_columns):
        usual = rng.choice(CELLS, size=int(rng.integers(1, 6)))
        if rng.random() < 0.5:
            usual = rng.normal(size=R).round(int(rng.integers(0, 5))).astype(str)
        cells = rng.choice(usual, size=R)
        strange = rng.random(R) < rng.choice([0.0, 0.05, 0.5])
        columns.append(np.where(strange, rng.choice(CELLS, size=R), cells))
    names = [f"c{i}" for i in range(num_columns - 1)] + ["y"]
    lines = [names, *zip(*columns, strict=True)]
    quoted = rng.random() < 0.5
    rows = [delimiter.join(f'"{cell}"' if quoted else str(cell) for cell in line) for line in lines]
    return "\n".join(rows).encode()


def read(path: Path, rng: Generator) -> str:
    """Read a file as `data check` does; return what became of it."""
    reading = READINGS[int(rng.integers(0, len(READINGS)))] if rng.random() < 0.3 else Reading()
    try:
        table = open_table(path, reading)
        dataset = table.dataset(target="y", kind=rng.choice([None, "regression", "classification"]))
        list(summarize_columns(table, dataset, "y"))
    except HPOControlError as error:
        return type(error).__name__
    assert isinstance(dataset, Dataset)
    return "read"


@pytest.mark.parametrize(
    ("suffix", "make"),
    [
        (".csv", lambda rng: mutate(seed_file(".csv"), rng)),
        (".csv", compose),
        (".npz", lambda rng: mutate(seed_file(".npz"), rng)),
        (".parquet", lambda rng: mutate(seed_file(".parquet"), rng)),
    ],
    ids=["csv", "cells", "npz", "parquet"],
)
def test_any_content_becomes_a_data_set_or_an_error_of_ours(
    suffix: str, make: Callable[[Generator], bytes], tmp_path: Path
) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(seed_file(suffix))
    read(path, np.random.default_rng(0))  # imports, which count neither as time nor as memory
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: dict[str, int] = {}
    for index in range(NUM_INPUTS // 4):
        rng = np.random.default_rng([SEED, index])
        path.write_bytes(make(rng))
        started = time.process_time()
        try:
            outcome = read(path, rng)
        except Exception as error:
            raise AssertionError(f"input {index} of seed {SEED}: {error!r}") from error
        assert time.process_time() - started < MAX_SECONDS, (
            f"input {index} of seed {SEED} took long"
        )
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert len(outcomes) > 1, outcomes  # inputs of which all fail or none try nothing
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < MAX_BYTES
