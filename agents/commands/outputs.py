"""Files that a command is asked to write: looked at before the work, and not after it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hpo_env.errors import ConfigurationError


def check_file(path: Path | None, *, endings: Sequence[str] = ()) -> None:
    """Check that a file can be written, and make its folder.

    Args:
        path: The file; None where nobody asked for one.
        endings: What its name may end in; anything when empty.

    Raises:
        ConfigurationError: It cannot, for whatever reason the system gives.
    """
    if path is None:
        return
    if endings and path.suffix.lower() not in endings:
        raise ConfigurationError(f"{path}: its name must end in {' or '.join(endings)}")
    try:
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"{path} cannot be written: it is there and is no file")
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and not os.access(path, os.W_OK):
            raise ConfigurationError(f"{path} cannot be written: it is read-only")
        _try(path.absolute().with_name(path.name + ".partial"))
    except (OSError, ValueError) as error:
        raise _refused(path, error) from error


def check_folder(path: Path | None) -> None:
    """Check that a folder can be written into, and make it.

    Raises:
        ConfigurationError: It cannot, for whatever reason the system gives.
    """
    if path is None:
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
        _try(path / ".partial")
    except (OSError, ValueError) as error:
        raise _refused(path, error) from error


def _try(path: Path) -> None:
    """Write an empty file beside where the real one will be, and take it away again."""
    path.touch()
    path.unlink()


def _refused(path: Path, error: Exception) -> ConfigurationError:
    reason = getattr(error, "strerror", None) or str(error)
    return ConfigurationError(f"{str(path)!r} cannot be written: {reason}")
