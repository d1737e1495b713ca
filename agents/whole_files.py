"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one, whole.

    Args:
        path: Where to; its folder must exist.
        content: All of the file.
    """
    temporary = path.with_name(path.name + ".partial")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # half a file would only fill a full disk further
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too, must be on the disk
    finally:
        os.close(folder)


def to_json_bytes(data: Any) -> bytes:
    """Write plain data as JSON that people can read and `diff`."""
    return (json.dumps(data, indent=2, sort_keys=True) + "\n").encode()
