"""Builds a family's C++ kernels into a shared library, once a machine.

The library is kept in a cache folder under a name made of the sources, the flags and everything the
compiler says of itself and of the processor. Several processes may build at once: each writes a
file of its own and moves it to the name in one step.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

_TIMEOUT_SECONDS = 300


class BuildError(Exception):
    """A library cannot be built here; the message is the reason, in one line."""


@cache
def built(source: Path, flags: tuple[str, ...]) -> Path:
    """Return the path of the shared library of one C++ file, building it if it is not there yet.

    Args:
        source: The file; it includes no other of ours.
        flags: Of the compiler, beside those that make a shared library.

    Raises:
        BuildError: There is no compiler, or it fails.
    """
    command = [_compiler(), *flags, "-fPIC", "-shared"]
    # What the compiler defines tells its version and every instruction set of `-march=native`.
    defined = _run([*command, "-dM", "-E", "-x", "c++", os.devnull])
    parts = [source.read_bytes(), " ".join(flags).encode(), defined]
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()
    folder = _cache_folder()
    path = folder / f"{source.stem}-{key[:24]}.so"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=path.stem, suffix=".tmp", dir=folder)
    except OSError as error:
        raise BuildError(f"the cache folder cannot be written: {error}") from error
    os.close(handle)
    try:
        _run([*command, str(source), "-o", name])
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def _cache_folder() -> Path:
    """Return where libraries are kept: `$HPO_CONTROL_CACHE`, or a folder of the user's cache."""
    given = os.environ.get("HPO_CONTROL_CACHE")
    if given:
        return Path(given)
    user = os.environ.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "hpo-control"


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
