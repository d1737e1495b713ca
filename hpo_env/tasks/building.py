"""Builds a family's C++ kernels into a shared library, once a machine.

The library is kept in a cache folder under a name made of the sources, the flags and everything the
compiler says of itself and of the processor; see `hpo_env.tasks.library_cache`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from hpo_env.tasks.library_cache import kept

_TIMEOUT_SECONDS = 300


class BuildError(Exception):
    """A library cannot be built here; the message is the reason, in one line."""


def built(source: Path, flags: tuple[str, ...]) -> Path:
    """Return the path of the shared library of one C++ file, building it if it is not there yet.

    Args:
        source: The file; it includes no other of ours but the headers (`.hpp`) beside it.
        flags: Of the compiler, beside those that make a shared library.

    Raises:
        BuildError: There is no compiler, or it fails.
    """
    return _built((_compiler(), *flags, "-fPIC", "-shared"), source, cache_folder())


def cache_folder() -> Path:
    """Return where libraries are kept: `$HPO_CONTROL_CACHE`, or a folder of the user's cache."""
    given = os.environ.get("HPO_CONTROL_CACHE")
    if given:
        return Path(given)
    user = os.environ.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "hpo-control"


@cache
def _built(command: tuple[str, ...], source: Path, folder: Path) -> Path:
    headers = sorted(source.parent.glob("*.hpp"))
    sources = [path.read_bytes() for path in (source, *headers)]
    # What the compiler defines tells its version and every instruction set of `-march=native`.
    defined = _run([*command, "-dM", "-E", "-x", "c++", os.devnull])
    flags = " ".join(command[1:]).encode()
    key = hashlib.sha256(b"\0".join([*sources, flags, defined])).hexdigest()
    try:
        return kept(
            folder,
            f"{source.stem}-{key[:24]}",
            lambda path: _run([*command, str(source), "-o", str(path)]),
        )
    except OSError as error:
        raise BuildError(f"the cache folder cannot be written: {error}") from error


def _compiler() -> str:
    named = os.environ.get("CXX")
    found = [path for c in ([named] if named else ["g++", "clang++"]) if (path := shutil.which(c))]
    if not found:
        raise BuildError(f"{named} is not there" if named else "there is no C++ compiler")
    return found[0]


def _run(command: list[str]) -> bytes:
    """Run the compiler and return what it prints."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").splitlines()
        reason = [line for line in lines if "error" in line] or [f"status {done.returncode}"]
        raise BuildError(f"{command[0]} failed: {reason[0]}")
    return done.stdout
