"""Rooms and reference are complete: whatever is there to be used is also written about."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import griffe
import pytest

from agents.commands import COMMANDS
from hpo_env.testing import SUITES
from tools.house_drawing import ROOMS
from tools.reference_tables import COMMAND_LINES, PAGES

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference" / "api"
TABLE = ROOT / "docs" / "how-it-is-built.md"
PACKAGES = ("hpo_env", "agents")
FLOORS = (*PACKAGES, "hpo_env/tasks")
"""Folders whose folders are rooms."""


def rooms() -> list[str]:
    """Return every room as a path, `hpo_env/control`."""
    found = [path.parent for floor in FLOORS for path in ROOT.glob(f"{floor}/*/__init__.py")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


@cache
def code() -> griffe.ModulesCollection:
    loader = griffe.GriffeLoader(search_paths=[ROOT])
    for package in PACKAGES:
        loader.load(package)
    loader.resolve_aliases(implicit=True)
    return loader.modules_collection


@cache
def reference() -> frozenset[str]:
    """Return what the pages of the reference show, each under the path of its definition."""
    text = "".join(page.read_text(encoding="utf-8") for page in REFERENCE.glob("*.md"))
    shown = set(re.findall(r"^::: (\S+)$", text, re.MULTILINE))
    for path in list(shown):
        item = code()[path]
        if item.is_module:
            shown |= {member.canonical_path for member in item.members.values() if exported(member)}
    return frozenset(shown)


def exported(member: griffe.Object | griffe.Alias) -> bool:
    """Whether a page of the module shows it: what is imported is shown where `__all__` says so."""
    return member.is_public and (not member.is_imported or bool(member.is_exported))


def modules_with_all() -> Iterator[str]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("__init__.py"):
            if "__all__" in path.read_text(encoding="utf-8"):
                yield ".".join(path.parent.relative_to(ROOT).parts)


def used() -> Iterator[tuple[str, str]]:
    """Find every name that a page or an example imports, and the module that it is taken from."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    snippets = re.findall(r"^```python\n(.*?)^```", pages, re.DOTALL | re.MULTILINE)
    snippets = [snippet for snippet in snippets if "--8<--" not in snippet]  # piece of an example
    scripts = [path.read_text("utf-8") for path in (ROOT / "examples").rglob("*.py")]
    for text in [*snippets, *scripts]:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                module = re.sub(r"^hpo_agents\b", "agents", node.module)
                if module.partition(".")[0] in PACKAGES:
                    yield from ((module, alias.name) for alias in node.names)


@pytest.mark.parametrize("room", rooms())
def test_a_room_stands_in_the_table(room: str) -> None:
    cells = re.findall(r"^\| (`[^|]+) \|", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = {name.rstrip("/") for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    assert room in listed, f"docs/how-it-is-built.md: a line for `{room}/`"


@pytest.mark.parametrize("room", rooms())
def test_a_room_stands_in_the_drawing(room: str) -> None:
    drawn = {place for places in ROOMS.values() for place in places}
    module = room.replace("/", ".")
    inside = any(f"{module}.".startswith(f"{place}.") for place in drawn)
    assert inside, f"tools/house_drawing.py: no room of `ROOMS` holds {module}"


@pytest.mark.parametrize("module", sorted(modules_with_all()))
def test_what_a_package_exports_is_in_the_reference(module: str) -> None:
    exports = code()[module].exports or []
    missing = [name for name in map(str, exports) if name[0] != "_" and not is_shown(module, name)]
    assert not missing, f"docs/reference/api: a line `::: {module}`"


@pytest.mark.parametrize(("module", "name"), sorted(set(used())))
def test_what_pages_and_examples_import_is_in_the_reference(module: str, name: str) -> None:
    assert is_shown(module, name), f"docs/reference/api: a line `::: {module}.{name}`"


@pytest.mark.parametrize("address", SUITES.values())
def test_a_contract_suite_is_in_the_reference(address: str) -> None:
    module, name = re.sub(r"^hpo_agents\b", "agents", address).split(":")
    assert is_shown(module, name), f"docs/reference/api: a line `::: {module}.{name}`"


def is_shown(module: str, name: str) -> bool:
    """Whether the reference shows what a module calls by a name."""
    if name in code()[module].members:
        path = f"{module}.{name}"
        return bool({path, code()[path].canonical_path} & reference())
    return module in reference()  # made by `__getattr__`, which the module's own text tells


def test_every_command_is_in_the_reference() -> None:
    explained = {title.split()[0] for title in COMMAND_LINES}
    assert explained == set(COMMANDS) - {"doctor"}, "doctor has no options"
