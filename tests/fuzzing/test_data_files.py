"""Whatever is in a file, it becomes a data set or one of the package's own errors, soon."""

from __future__ import annotations

import io
import resource
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo_env.datasets import Dataset, open_table
from hpo_env.datasets.base import Kind
from hpo_env.datasets.column_summary import summarize_columns
from hpo_env.datasets.reading import Reading
from hpo_env.errors import HPOControlError
from tests.fuzzing.inputs import generators, in_time

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

MAX_BYTES = 2**29

R = 40
ALPHABET = [*"019,;|\t \n\r\"'.-+eE$%?/:\0éß", "NA", "inf", "1e999", "2024-01-31", "\ufeff"]
WORDS = [
    *("", " ", "0", "1", "-0.0", "1e308", "-1e-320", "inf", "nan", "NA", "None", "?", "<5"),
    *("1,200", "3,5", "$5", "7%", "12:30", "2024-01-31", "31.1.2024", "True", "a", "b", "é"),
    *("\0", "a" * 300, '"', "9" * 25, "-" + "9" * 25, "1_000", "0x1F", "١٢"),
    *("1" * 5000, "(5)", "y", "--", "1.200", "950", '="5"', "'5'", "\u200b5", "5-", "5k", "2M"),
    *("c0", "c1", str(10**18 + 1), str(2**64), "1h30m", "2024Q1", "1.5D+03", "²", "½", "⑤", "=-1"),
]  # fmt: skip
CELLS = np.array(WORDS, dtype=object)
KINDS: tuple[Kind | None, ...] = (None, "regression", "classification")
READINGS = [
    Reading(),
    Reading.of(decimal=",", thousands="."),
    Reading.of(missing=["?", -1], units=["$", "%", "<"], dates={"c1": "%H:%M"}),  # type: ignore[list-item]
    Reading.of(categories=["c0"], thousands=","),
    Reading.of(decimal=",", units=["k", "M", "kg"], missing=["--", "NA"]),
    Reading.of(decimal=".", dates=["c0"]),
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
    if rng.random() < 0.1:
        lines.insert(int(rng.integers(len(lines))), names)
    if rng.random() < 0.1:
        lines = [["", *line] for line in lines]
    quoted = rng.random() < 0.5
    rows = [delimiter.join(f'"{cell}"' if quoted else str(cell) for cell in line) for line in lines]
    above = f"sep={delimiter}\n" if rng.random() < 0.1 else ""
    return (above + "\n".join(rows)).encode()


def compose_npz(rng: Generator) -> bytes:
    """Write an archive that is whole, of arrays that are strange or damaged."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("x", "y", "feature_names")[: int(rng.choice([1, 2, 2, 2, 3]))]:
            member = io.BytesIO()
            np.lib.format.write_array(member, strange_array(name, rng), allow_pickle=True)
            content = member.getvalue()
            archive.writestr(f"{name}.npy", mutate(content, rng) if rng.random() < 0.3 else content)
    return file.getvalue()


def strange_array(name: str, rng: Generator) -> np.ndarray[Any, Any]:
    usual = {"x": (R, 3), "y": (R,), "feature_names": (3,)}[name]
    strange: list[tuple[int, ...]] = [(R,), (R, 3), (R, 1, 4, 4), (R, 4, 4, 3), (), (R, 0), (1, 3)]
    shape = usual if rng.random() < 0.8 else strange[int(rng.integers(0, len(strange)))]
    values = rng.normal(size=shape) * 10.0 ** rng.choice([-320, -30, 0, 0, 2, 9, 18, 300])
    values = np.where(
        rng.random(shape) < rng.choice([0.0, 0.0, 0.1]),
        rng.choice([np.nan, np.inf, 0.0, 0.0]),
        values,
    )
    kinds = [
        "f8",
        "f4",
        "f2",
        ">f8",
        "c16",
        "i8",
        "u8",
        "i1",
        "?",
        "U3",
        "S3",
        "O",
        "M8[s]",
        "m8[s]",
    ]
    kind = str(rng.choice([*kinds, *("f8", "f4", "i8") * 8]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = np.nan_to_num(np.clip(values, -1e18, 1e18)).astype(np.int64)
        return np.asarray(whole if kind[0] in "iuM?m" else values).astype(kind)


def compose_parquet(rng: Generator) -> bytes:
    """Write a whole file of strange types."""
    makers: list[Callable[[], Any]] = [
        lambda: pa.array(rng.normal(size=R) * 10.0 ** rng.integers(-300, 300)),
        lambda: pa.array(rng.integers(-(2**62), 2**62, R)),
        lambda: pa.array(rng.integers(0, 3, R)),
        lambda: pa.array(rng.choice(CELLS, size=R)),
        lambda: pa.array(rng.choice(CELLS, size=R)).dictionary_encode(),
        lambda: pa.array(rng.integers(-(2**40), 2**40, R)).cast(pa.timestamp("us", tz="UTC")),
        lambda: pa.array(rng.integers(-(2**20), 2**20, R), pa.int32()).cast(pa.date32()),
        lambda: pa.array([None] * R),
        lambda: pa.array(rng.integers(0, 9, R)).cast(pa.decimal128(38, 3)),
        lambda: pa.array([rng.bytes(2) for _ in range(R)], pa.binary(2)),
        lambda: pa.array([{"a": 1}] * R),
        lambda: pa.array([[1], None] * (R // 2)),
        lambda: pa.array(rng.random(R) < 0.5),
        lambda: pa.array(rng.integers(0, 9, R)).cast(pa.duration("s")),
        lambda: pa.array(rng.normal(size=R).astype(np.float16)),
        lambda: pa.array([None if v < 2 else v for v in rng.integers(0, 9, R).tolist()]),
    ]
    names = rng.choice(["c0", "c1", "c2", "y", "y", "y", "", "__index_level_0__"], size=3)
    columns = [makers[int(rng.integers(0, len(makers)))]() for _ in names]
    file = io.BytesIO()
    pq.write_table(pa.table(columns, names=names.tolist()), file)
    return file.getvalue()


def read(path: Path, rng: Generator) -> str:
    """Read a file as `data check` does; return what became of it."""
    reading = READINGS[int(rng.integers(0, len(READINGS)))] if rng.random() < 0.3 else Reading()
    try:
        table = open_table(path, reading)
        dataset = table.dataset(target="y", kind=KINDS[int(rng.integers(3))])
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
        (".npz", compose_npz),
        (".parquet", lambda rng: mutate(seed_file(".parquet"), rng)),
        (".parquet", compose_parquet),
    ],
    ids=["csv", "cells", "npz", "arrays", "parquet", "types"],
)
def test_any_content_becomes_a_data_set_or_an_error_of_ours(
    suffix: str, make: Callable[[Generator], bytes], quick_path: Path
) -> None:
    path = quick_path / f"t{suffix}"
    path.write_bytes(seed_file(suffix))
    read(path, np.random.default_rng(0))  # imports, which count neither as time nor as memory
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: Counter[str] = Counter()
    for index, rng in enumerate(generators(1 / 6)):
        path.write_bytes(make(rng))
        with in_time(f"input {index}"):
            try:
                outcomes[read(path, rng)] += 1
            except Exception as error:
                raise AssertionError(f"input {index}: {error!r}") from error
    assert len(outcomes) > 1, "inputs of which all fail or none try nothing"
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < MAX_BYTES
