"""The README's snippets run, and its tables are what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.reference_tables import README, fill

TEXT = README.read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 3


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_runs(
    snippet: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_tables_are_what_the_code_says() -> None:
    assert fill(TEXT) == TEXT, "run: python tools/reference_tables.py"
