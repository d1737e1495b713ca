"""Libraries that were built on this machine, kept in a folder.

A library's name holds a digest of its content. One that was cut off or changed, whose use would end
the process with a bus error, is known by that and built again. Several processes may build at once:
each writes a file of its own and moves it to its name in one step.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_FOR_EVERYBODY = 0o755


def kept(folder: Path, name: str, build: Callable[[Path], object]) -> Path:
    """Return the path of a library, building it if it is not there, or not whole.

    Args:
        folder: The cache; made when something is written.
        name: Says all that decides the library's content.
        build: Writes the library to a path.

    Raises:
        OSError: The folder cannot be written.
    """
    return _whole(folder, name) or _built(folder, name, build)


def _whole(folder: Path, name: str) -> Path | None:
    """Return a library that is what its name says; others are taken away."""
    for path in sorted(folder.glob(f"{name}-*.so")):
        try:
            if path.stem == f"{name}-{_digest(path.read_bytes())}":
                return path
        except OSError:  # somebody else took it away, or may not show it to us
            continue
        with suppress(OSError):
            path.unlink()
    return None


def _built(folder: Path, name: str, build: Callable[[Path], object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    handle, written = tempfile.mkstemp(prefix=name, suffix=".tmp", dir=folder)
    os.close(handle)
    staged = Path(written)
    try:
        build(staged)
        with staged.open("rb") as file:
            digest = _digest(file.read())
            os.fsync(file.fileno())
        staged.chmod(_FOR_EVERYBODY)  # a cache may be shared, and temporary files are private
        return staged.replace(folder / f"{name}-{digest}.so")
    finally:
        staged.unlink(missing_ok=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]
