"""Every `--help` fits a screen and hides no option; `--help-all` explains all."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from agents.commands import COMMANDS, compare, evaluate, load_command, train
from agents.commands.compare import CompareConfig
from agents.commands.evaluate import EvaluateConfig
from agents.commands.help_texts import short_help
from agents.config import TrainConfig

ROOT = Path(__file__).parents[3]
SCREEN_LINES = 40
LONG: list[Any] = [
    pytest.param("train", TrainConfig, train.USUAL, id="train"),
    pytest.param("compare", CompareConfig, compare.USUAL, id="compare"),
    pytest.param("evaluate", EvaluateConfig, evaluate.USUAL, id="evaluate"),
]
SUBCOMMANDS = (
    *(("zoo", name) for name in ("list", "card", "evaluate", "verify", "make")),
    *(("data", name) for name in ("list", "describe", "check")),
)


def shown(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What `--help` prints, be it with or without an exit."""
    with suppress(SystemExit):
        load_command(words[0])([*words[1:], "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("words", [*((name,) for name in COMMANDS), *SUBCOMMANDS], ids=" ".join)
def test_help_fits_a_screen(
    words: Sequence[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = shown(words, capsys).splitlines()
    assert lines[0].startswith(f"usage: hpo-control {' '.join(words)}")
    assert len(lines) <= SCREEN_LINES
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(("command", "config", "usual"), LONG)
def test_the_short_text_names_every_option_and_explains_the_usual(
    command: str, config: type[Any], usual: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown([command], capsys)
    for field in fields(config):
        flag = f"--{field.name.replace('_', '-')}"
        assert flag in text or field.name.upper() in text or field.name == "settings"
    explained, _, rest = text.partition("more options:")
    assert all(f"--{name.replace('_', '-')}," not in rest for name in usual)
    assert "--help-all" in rest
    assert explained.count("\n  --") + explained.count("\n  POLICY") == len(usual)


@pytest.mark.parametrize("command", ["compare", "evaluate"])
def test_the_whole_text_explains_every_option(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as info:
        load_command(command)(["--help-all"])
    assert info.value.code == 0
    text = capsys.readouterr().out
    config: Any = {"compare": CompareConfig, "evaluate": EvaluateConfig}[command]
    for field in fields(config):
        assert field.name.replace("_", "-") in text.lower()


def test_help_of_meta_training_is_there_without_torch() -> None:
    program = "import sys; sys.argv[1:] = ['--help']; sys.modules['torch'] = None; import runpy"
    command = [
        sys.executable,
        "-c",
        f"{program}; runpy.run_path('meta_train.py', None, '__main__')",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage:")


@dataclass(frozen=True)
class Small:
    """Do one thing. It does nothing else.

    Args:
        first: What `x.y` is. More of it.
        second_one: Whether.
    """

    first: str | None = None
    second_one: float = 0.5


def test_a_text_is_what_the_docstring_says() -> None:
    assert short_help(Small, ["second_one"], prog="small") == textwrap.dedent("""\
        usage: small [OPTIONS]

        Do one thing. It does nothing else.

          --second-one          Whether. [0.5]

        more options:
          --first

        --help-all explains every option.""")
    assert "  --first               What `x.y` is.\n" in short_help(Small, ["first"], prog="small")
