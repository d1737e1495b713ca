"""Print the lowest version of each dependency that pyproject.toml allows, as constraints of pip.

    python tools/lowest_versions.py train data > lowest.txt

What they are is a claim like any other: `make test-lowest` installs them and runs the fast tests.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from packaging.version import Version

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
_BOUND = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)")
_OWN = re.compile(r"hpo-control\[([\w,]+)\]")


def lowest(extras: Sequence[str], pyproject: Path = PYPROJECT) -> dict[str, str]:
    """Find the lowest versions of what the package and some of its extras need.

    Args:
        extras: Names of extras.
        pyproject: The file that says so.

    Returns:
        Version by package, the highest of the bounds that these extras set; packages without a
        lower bound are left out.

    Example:
        >>> lowest(["ray"])["ray"] == lowest(["dev"])["ray"]
        True
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    found: dict[str, str] = {}
    left = [*extras]
    requirements = [*project["dependencies"]]
    while left:
        for requirement in optional[left.pop()]:
            own = _OWN.fullmatch(requirement)
            if own:
                left += own[1].split(",")
            requirements.append(requirement)
    for requirement in requirements:
        bound = _BOUND.match(requirement)
        if bound:
            found[bound[1]] = max(found.get(bound[1], "0"), bound[2], key=Version)
    return found


def main() -> None:
    """Print them for the extras that the command line names."""
    for package, version in sorted(lowest(sys.argv[1:]).items()):
        print(f"{package}=={version}")


if __name__ == "__main__":
    main()
