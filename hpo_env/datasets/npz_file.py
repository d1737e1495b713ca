"""NPZ: a zip archive of arrays, whose headers are not believed before they are checked."""

from __future__ import annotations

import zipfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hpo_env.datasets.array_table import ArrayTable
from hpo_env.datasets.reading import Reading
from hpo_env.datasets.tables import check_size, quoted
from hpo_env.errors import DatasetError

_SUFFIX = ".npy"


def read_npz(path: Path, reading: Reading) -> ArrayTable:
    """Read an NPZ file; `reading` does not apply, as its numbers are no text.

    Raises:
        DatasetError: It cannot be read so; the message does not name the file.
    """
    if reading != Reading():
        msg = f"an NPZ file holds numbers, so {quoted(reading.options())} have no meaning"
        raise DatasetError(f"{msg}. Leave them out")
    if not zipfile.is_zipfile(path):
        msg = "this cannot be read as NPZ (it is no zip archive, or was cut short)"
        raise DatasetError(f"{msg}. Write it with numpy.savez(path, x=x, y=y)")
    # Opened here, as numpy leaves a file that it opened and could not read open.
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        check_size(sum(member.file_size for member in members))
        arrays = dict(_read_member(archive, member) for member in members)
    return ArrayTable(str(path), path.name, arrays)


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[str, NDArray[Any]]:
    name = member.filename.removesuffix(_SUFFIX)
    if member.flag_bits & 1:
        msg = "the archive is encrypted, and cannot be read as NPZ"
        raise DatasetError(f"{msg}. Save it without a password, with numpy.savez")
    with archive.open(member) as stream:
        shape, dtype = _read_header(stream, name)
        expected = prod(shape) * dtype.itemsize
        check_size(expected)
        if stream.tell() + expected != member.file_size:
            msg = f"array {name!r} says that it has the shape {shape} of {dtype}, but there are"
            raise DatasetError(
                f"{msg} {member.file_size} bytes of it: this cannot be read as NPZ. Save it again"
            )
        stream.seek(0)
        array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return name, array


def _read_header(stream: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if not stream.peek(len(npy.MAGIC_PREFIX)).startswith(npy.MAGIC_PREFIX):
        msg = f"member {name!r} of the archive is no array, so this cannot be read as NPZ"
        raise DatasetError(f"{msg}. Write it with numpy.savez(path, x=x, y=y)")
    major, _ = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        msg = f"object arrays are refused ({name!r} is one), as reading them can run foreign code"
        raise DatasetError(f"{msg}. Save numbers, or text as dtype '<U..'")
    return shape, dtype
