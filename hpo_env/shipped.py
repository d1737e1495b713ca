"""The policies that come with the package, and the folder that a name stands for.

Needs no torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hpo_env.arguments import as_path, is_folder
from hpo_env.errors import PolicyFileError
from hpo_env.policy_file import CONTROLLER_FILE

ZOO = Path(__file__).parent / "zoo"
"""Where the policies that we ship lie, one folder each."""


def shipped() -> dict[str, Path]:
    """Return the folder of each policy that we ship, by name."""
    return {file.parent.name: file.parent for file in ZOO.glob(f"*/{CONTROLLER_FILE}")}


def policy_folder(name_or_path: str | Path) -> Path:
    """Find the folder of a policy; a name is only ever compared with those that are there.

    Raises:
        PolicyFileError: It is neither a policy that we ship nor a folder.
        ConfigurationError: It is no path.
    """
    ours = shipped()
    if isinstance(name_or_path, str) and name_or_path in ours:
        return ours[name_or_path]
    folder = as_path("a policy", name_or_path)
    if not is_folder(folder):
        raise PolicyFileError(
            f"{str(name_or_path)!r} is neither a folder nor a policy that we ship "
            f"({', '.join(sorted(ours)) or 'there is none in this version'})"
        )
    return folder


def shipped_smaller(name: str) -> list[str]:
    """Name the shipped policies that decide in place of a larger one where they move all there is.

    They are those of the same family and schedule that move some of its hyperparameters, and those
    of all of them that decide within a scope.

    Args:
        name: Of a shipped policy.

    Example:
        >>> shipped_smaller("supervised-lr")
        []
    """
    facts = {folder.name: _facts(folder) for folder in shipped().values()}
    kind, names, _ = facts.pop(name)
    return [
        other
        for other, (k, n, has_scope) in sorted(facts.items())
        if k == kind and (n < names or (n == names and has_scope))
    ]


def _facts(folder: Path) -> tuple[tuple[Any, ...], frozenset[str], bool]:
    """Read of a shipped policy what it is for, what it moves, and whether it has a scope."""
    document = json.loads((folder / CONTROLLER_FILE).read_text(encoding="utf-8"))
    names = frozenset(entry["name"] for entry in document["hyperparameters"])
    return (document["family"], document["base_schedule"]), names, "scope" in document
