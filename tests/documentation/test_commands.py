"""Every command line in the documentation is one that the program takes, as it stands there.

Recipes and tutorials are followed as a whole elsewhere; commands of other pages take minutes or a
file of the reader's own, so they are parsed by the parser of the command itself and not run.
"""

from __future__ import annotations

import functools
import inspect
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tyro

from agents.commands import load_command
from tests.documentation.following import FOLLOWED
from tools.reference_tables import PAGES

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_SHELL = ("console", "bash")
_COMMAND = re.compile(r"(?:(?:hpo-control|python|make) \S|benchmarks/\w+\.py).*")
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


class ParsedError(Exception):
    """The command line was understood; nothing is run."""


def command_lines(page: Path) -> Iterator[str]:
    """Return commands in blocks of the shell that are not run, and in code within sentences."""
    text = page.read_text(encoding="utf-8")
    for kind, block in _FENCE.findall(text):
        if kind in _SHELL and page not in FOLLOWED:
            yield from block.splitlines()
    for code in re.findall(r"`([^`]+)`|^    ([^`\n]+)$", _FENCE.sub("", text), re.MULTILINE):
        line = " ".join("".join(code).split())
        if _COMMAND.fullmatch(line):
            yield line


LINES = sorted({line for page in PAGES for line in command_lines(page)})


@pytest.fixture
def only_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tyro parse, and stop at what follows."""
    parse = tyro.cli

    def stop(*_: Any, **__: Any) -> None:
        raise ParsedError

    def cli(config: Any, *args: Any, **kwargs: Any) -> None:
        is_function = inspect.isfunction(config)
        parse(functools.wraps(config)(stop) if is_function else config, *args, **kwargs)
        raise ParsedError

    monkeypatch.setattr(tyro, "cli", cli)


@pytest.mark.usefixtures("only_parsed")
@pytest.mark.parametrize("line", LINES)
def test_a_command_is_taken_as_it_is_written(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *words = shlex.split(line, comments=True)
    if program == "make":
        targets = _TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8"))
        assert set(words) <= set(targets)
    elif program == "hpo-control":
        named = [*words, "--help"] if len(words) <= 2 else words  # such as `hpo-control zoo card`
        with understood(named):
            load_command(words[0])(named[1:])
    elif words and words[0] == "-m":
        monkeypatch.delitem(sys.modules, words[1], raising=False)  # another test has imported it
        run(words[2:], monkeypatch, partial(runpy.run_module, words[1], alter_sys=True))
    else:
        script, *arguments = words if program == "python" else (program, *words)
        monkeypatch.syspath_prepend(str((ROOT / script).parent))
        if "tyro" in (ROOT / script).read_text(encoding="utf-8") or script == "meta_train.py":
            run(arguments, monkeypatch, partial(runpy.run_path, str(ROOT / script)))
        else:
            assert not arguments


def run(
    arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, program: Callable[..., object]
) -> None:
    """Start a program with arguments, as the shell does."""
    given = [*arguments] or ["--help"]  # the program is only named
    monkeypatch.setattr(sys, "argv", ["program", *given])
    with understood(given):
        program(run_name="__main__")


@contextmanager
def understood(words: Sequence[str]) -> Iterator[None]:
    """Expect that the words are parsed, and that help is shown where it is asked for."""
    code: object = None
    try:
        yield
    except ParsedError:
        return
    except SystemExit as end:
        code = end.code
    assert not code, "it is not understood"
    assert "--help" in words, "it was run and not parsed alone"
