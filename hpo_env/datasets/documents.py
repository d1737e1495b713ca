"""Where texts come from: source files, chapters of a manual, docstrings; each by a name."""

from __future__ import annotations

import importlib
import inspect
import sysconfig
from pathlib import Path

_SHORTEST = 200
"""Characters of a docstring that says something."""

_PASSAGE = 200
"""Characters by which a passage is known again."""


def sources(*packages: str) -> dict[str, str]:
    """Read the Python files of packages of the standard library.

    Args:
        packages: Their names.

    Returns:
        The files by their path below the library.
    """
    library = Path(sysconfig.get_paths()["stdlib"])
    return {
        path.relative_to(library).as_posix(): path.read_text(encoding="utf-8")
        for package in packages
        for path in (library / package).rglob("*.py")
    }


def topics() -> dict[str, str]:
    """Return the chapters of the language reference that `help()` shows.

    Some are parts of others: chapters most of which stands in a longer one are left out. Names
    begin with a rank, the longest first, so that what is dealt out in their order comes to equal
    sizes.
    """
    chapters: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    ranked = sorted(chapters, key=lambda name: (-len(chapters[name]), name))
    found: dict[str, str] = {}
    for name in ranked:
        chapter = chapters[name]
        if not any(_stands_in(chapter, longer) for longer in found.values()):
            found[f"{len(found):03} {name}"] = chapter
    return found


def _stands_in(one: str, other: str) -> bool:
    starts = range(0, max(len(one) - _PASSAGE, 1), 2 * _PASSAGE)
    return 2 * sum(one[i : i + _PASSAGE] in other for i in starts) > len(starts)


def docstrings(module: str) -> dict[str, str]:
    """Return what the public functions and classes of a module say of themselves.

    Args:
        module: Its name; it is imported.

    Returns:
        Docstrings by name; what goes by several names comes once.
    """
    loaded = importlib.import_module(module)
    found: dict[str, str] = {}
    for name in sorted(vars(loaded)):
        member = vars(loaded)[name]
        said = None if name.startswith("_") or inspect.ismodule(member) else inspect.getdoc(member)
        if isinstance(said, str) and len(said) >= _SHORTEST:
            found[said] = found.get(said, name)
    return {name: said for said, name in found.items()}
