"""Follows a page of the documentation to the letter: writes its files and runs its commands.

A block of code with a title is a file to write; a `diff` is a file of the clone to change; a
`console` block holds commands, one a line; other blocks of Python are programs.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLLOWED = [
    path
    for folder in ("how-to", "tutorials")
    for path in sorted((ROOT / "docs" / folder).glob("*.md"))
    if path.name != "index.md"
]
"""The pages that are followed as a whole; of others every snippet of Python stands by itself."""

_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
_NOT_COPIED = shutil.ignore_patterns(
    *(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "logs", "results")
)
_SECONDS = 600  # for one command, on a busy machine
_PROGRAMS = {
    "hpo-control": [sys.executable, "-c", "from hpo_agents.cli import main; main()"],
    "python": [sys.executable],
}


def follow(page: Path, folder: Path) -> None:
    """Do what a page says, in an empty folder.

    Args:
        page: Markdown.
        folder: Where its files are written; a clone, where the page changes one.

    Raises:
        AssertionError: A command failed; its output is the message.
    """
    blocks = [(kind, title, text) for kind, title, text in _BLOCK.findall(page.read_text("utf-8"))]
    if any(kind == "diff" for kind, _, _ in blocks):
        shutil.copytree(ROOT, folder, ignore=_NOT_COPIED, dirs_exist_ok=True)
    for number, (kind, title, text) in enumerate(blocks):
        if kind == "diff":
            file = folder / title
            file.write_text(changed(file.read_text("utf-8"), text), encoding="utf-8")
        elif kind == "console":
            for line in text.splitlines():
                _run(shlex.split(line, comments=True), folder)
        elif title:
            (folder / title).parent.mkdir(parents=True, exist_ok=True)
            (folder / title).write_text(text, encoding="utf-8")
        elif kind == "python":
            program = folder / f"program_{number}.py"
            program.write_text(text, encoding="utf-8")
            assert _run(["python", program.name], folder), f"program {number} prints nothing"


def changed(text: str, diff: str) -> str:
    """Apply a diff that only adds lines.

    Args:
        text: Of the file.
        diff: Lines that begin with a space, which the file holds one after the other and once, and
            lines that begin with a plus, which are added among them.

    Example:
        >>> changed("a\\nb\\n", " a\\n+new\\n b\\n")
        'a\\nnew\\nb\\n'
    """
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line.startswith(" "))
    after = "".join(line[1:] for line in lines)
    assert text.count(before) == 1, f"the file holds this {text.count(before)} times:\n{before}"
    return text.replace(before, after)


def _run(words: list[str], folder: Path) -> str:
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [*_PROGRAMS[words[0]], *words[1:]],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "200", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout
