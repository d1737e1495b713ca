"""Files that are not what their names say, or are damaged, are named for what they are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo_env.datasets import files, load_file, tables
from hpo_env.errors import DatasetError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

R = 40
X = np.linspace(0.0, 1.0, 2 * R).reshape(R, 2)
Y = np.arange(R) % 2
TABLE = pd.DataFrame({"a": np.arange(R), "y": ["u", "v"] * (R // 2)})
CSV = TABLE.to_csv(index=False).encode()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array))
    return file.getvalue()


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name, content in members.items():
            written.writestr(f"{name}.npy", content)
    return file.getvalue()


def header(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    """Return the head of an array that is not there."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text + b"\n"


def parquet(values: Any, kind: Any = None) -> bytes:
    file = pa.BufferOutputStream()
    pq.write_table(pa.table({"odd": pa.array(values, type=kind), "y": pa.array(Y)}), file)
    return bytes(file.getvalue())


def not_utf8() -> bytes:
    text = pa.Array.from_buffers(
        pa.string(),
        R,
        [None, pa.py_buffer(np.arange(R + 1, dtype=np.int32)), pa.py_buffer(b"\xff" * R)],
    )
    file = pa.BufferOutputStream()
    pq.write_table(pa.table({"odd": text, "y": pa.array(Y)}), file)
    return bytes(file.getvalue())


def encrypted() -> bytes:
    content = bytearray(archive(x=npy(X), y=npy(Y)))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(mark)
        while start >= 0:
            content[start + offset] |= 1
            start = content.find(mark, start + 4)
    return bytes(content)


FILES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "gzip": (".csv", lambda: gzip.compress(CSV), "it is gzip. Unpack it"),
    "bzip2": (".csv", lambda: bz2.compress(CSV), "it is bzip2"),
    "xz": (".csv", lambda: lzma.compress(CSV), "it is xz"),
    "xlsx": (".csv", lambda: archive(sheet=b""), "an Excel workbook.*save the sheet as CSV"),
    "xls": (".csv", lambda: b"\xd0\xcf\x11\xe0" + bytes(64), "an Excel workbook"),
    "html": (".csv", lambda: b"<!DOCTYPE html><html>", "a page of HTML"),
    "json": (".csv", lambda: b'{"a": [1, 2]}', "it is JSON"),
    "parquet_as_csv": (".csv", lambda: parquet(np.arange(R)), "it is Parquet.*end in .parquet"),
    "npz_as_parquet": (".parquet", lambda: archive(x=npy(X)), "cannot be read as Parquet"),
    "npy_as_npz": (".npz", lambda: npy(X), "it is NPY, a single array.*numpy.savez"),
    "csv_as_parquet": (".parquet", lambda: CSV, "cannot be read as Parquet"),
    "one_long_line": (".csv", lambda: b"a" * (2**24 + 10), "first line must name the columns"),
    "nul": (".csv", lambda: CSV.replace(b"20,u", b"2\x000,u"), "none.*missing="),
    "no_array": (".npz", lambda: archive(x=npy(X), y=b"hello"), "'y' of the archive is no array"),
    "empty_member": (".npz", lambda: archive(x=npy(X), y=b""), "'y' of the archive is no array"),
    "absurd_header": (".npz", lambda: archive(x=header((10**15, 10**3)), y=npy(Y)), "bytes"),
    "large_header": (".npz", lambda: archive(x=header((R, 10**5)), y=npy(Y)), "says that it has"),
    "negative_header": (".npz", lambda: archive(x=header((-R, 2)), y=npy(Y)), "cannot be read"),
    "broken_header": (".npz", lambda: archive(x=header((R, 2), "<q"), y=npy(Y)), "70 bytes"),
    "no_numbers": (".npz", lambda: archive(x=npy(X), y=npy(Y.astype("m8[s]"))), "'y' must hold"),
    "no_columns": (".npz", lambda: archive(x=npy(X[:, :0]), y=npy(Y)), "'x' must be numbers"),
    "complex": (".npz", lambda: archive(x=npy(X + 0j), y=npy(Y)), "'x' must be numbers of shape"),
    "bytes": (".npz", lambda: archive(x=npy(X), y=npy([b"\xff", b"a"] * (R // 2))), "in UTF-8"),
    "encrypted": (".npz", encrypted, "the archive is encrypted"),
    "channels_last": (
        ".npz",
        lambda: archive(x=npy(np.zeros((R, 8, 8, 3))), y=npy(Y)),
        r"\[R, channels, height, width\].*x\.transpose\(0, 3, 1, 2\)",
    ),
    "not_utf8": (".parquet", not_utf8, "cannot be read as Parquet.*UTF8"),
    "fixed_binary": (".parquet", lambda: parquet([b"ab"] * R, pa.binary(2)), "fixed_size_binary"),
    "binary_dictionary": (
        ".parquet",
        lambda: parquet(pa.array([b"ab", b"cd"] * (R // 2)).dictionary_encode()),
        "holds (dictionary|binary)",
    ),
    "long_with_gaps": (
        ".parquet",
        lambda: parquet([None, *range(10**18, 10**18 + R - 1)]),
        r"'odd' has missing values beside whole numbers beyond 2\*\*53",
    ),
    "struct": (".parquet", lambda: parquet([{"a": 1}] * R), "holds struct"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_read_is_a_data_set_error_that_names_it(
    case: str, tmp_path: Path
) -> None:
    suffix, content, message = FILES[case]
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content())
    with pytest.raises(DatasetError, match=rf"(?s)t\{suffix}: .*{message}") as caught:
        load_file(path, target="y")
    assert str(caught.value).count(str(path)) == 1


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_a_table_too_large_for_memory_is_refused(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"t{suffix}"
    if suffix == ".npz":
        np.savez_compressed(path, x=np.zeros((R, 100)), y=Y)
    elif suffix == ".csv":
        TABLE.to_csv(path)
    else:
        TABLE.to_parquet(path)
    monkeypatch.setattr(tables, "MAX_BYTES", 100)
    with pytest.raises(DatasetError, match=r"at most 100 bytes.*Draw rows"):
        load_file(path, target="y")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " ", "   "])
def test_csv_is_read_whatever_separates_it(delimiter: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = ["a,b,y", *(f"{i},{i * i},{'uv'[i % 2]}" for i in range(R))]
    path.write_text(
        "\n".join(line.replace(",", delimiter) for line in lines) + "\n", encoding="utf-8"
    )
    assert load_file(path, target="y").feature_names == ("a", "b")


def test_a_quoted_comma_does_not_separate(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "".join(f"{i};{'uv'[i % 2]}\n" for i in range(R))
    path.write_text('"a, in m, above sea";y\n' + rows, encoding="utf-8")
    assert load_file(path, target="y").feature_names == ("a, in m, above sea",)


def test_the_home_folder_is_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_file("~/t.csv", target="y").feature_names == ("a",)


@pytest.mark.parametrize("name", ["nul\0.csv", "long" * 500 + ".csv"])
def test_a_name_that_no_file_can_have_is_a_data_set_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        load_file(tmp_path / name, target="y")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(DatasetError, match="no regular file"):
        load_file(tmp_path / "t.csv", target="y")


def test_whatever_a_reader_raises_is_a_data_set_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TABLE.to_csv(tmp_path / "t.csv", index=False)

    def fail(*_: object) -> Any:
        raise RecursionError

    form = files._FORMATS[".csv"]
    monkeypatch.setitem(files._FORMATS, ".csv", files._Format(form.name, fail, form.fix))
    with pytest.raises(
        DatasetError, match=r"t\.csv: this cannot be read as CSV \(RecursionError\)"
    ):
        load_file(tmp_path / "t.csv", target="y")
