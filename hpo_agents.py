"""In a clone, the name under which the folder `agents/` is installed: `hpo_agents`.

Site-packages may hold somebody else's package `agents`, so a wheel holds this folder as
`hpo_agents`, and lacks this file. A plug-in that is written against `hpo_agents` runs in both:
here, `hpo_agents.opponents.base` is the module `agents.opponents.base`, not a second copy of it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_FOLDER = Path(__file__).resolve().parent / "agents"
_PREFIX = f"{__name__}."

__path__: list[str] = []  # makes this module a package; what is in it is found by `_Folder`


class _Folder:
    """Finds and loads `hpo_agents.x` as the module `agents.x`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import a module of ours; None where the folder has no such module."""
        if not name.startswith(_PREFIX):
            return None
        in_folder = find_spec(f"{_FOLDER.name}.{name.removeprefix(_PREFIX)}")
        if in_folder is None:
            return None
        # The loader of a spec of ours is this object, which has both halves of the protocol.
        return ModuleSpec(name, self, origin=in_folder.origin)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Import the module under the folder's name."""
        module = import_module(f"{_FOLDER.name}.{spec.name.removeprefix(_PREFIX)}")
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec back, which the import system has replaced by ours."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


def _let_the_folder_be_found() -> None:
    """Put the clone first on the path where another package `agents` would be found.

    The path, and not `sys.modules` alone: processes that are spawned are given the path.

    Raises:
        ImportError: The other package has been imported already.
    """
    root = str(_FOLDER.parent)
    if _FOLDER.name not in sys.modules and not _is_ours(find_spec(_FOLDER.name)):
        sys.path.insert(0, root)
    if not _is_ours(find_spec(_FOLDER.name)):
        raise ImportError(
            f"another package {_FOLDER.name!r} has been imported before {__name__!r}, whose clone "
            f"{root} has a folder of that name; import {__name__!r} first, or install its wheel: "
            f"pip install {root}"
        )


def _is_ours(spec: ModuleSpec | None) -> bool:
    return spec is not None and spec.origin == str(_FOLDER / "__init__.py")


_let_the_folder_be_found()
sys.meta_path.insert(0, _Folder())  # first: a folder's own path would find a second copy
