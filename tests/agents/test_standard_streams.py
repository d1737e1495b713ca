"""No encoding of a terminal or a pipe ends a command."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.standard_streams import survive_any_encoding

ROOT = Path(__file__).parents[2]
ENCODINGS = ("latin-1", "ascii", "cp437", "cp932")
TRAIN = "--family quadratic --steps 200 --segment-steps 100 --num-envs 4 --validation-lanes 2"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", ["–", "✓ ━━━", "Größe", "é\udce9", "日本", "→ …"])
def test_what_cannot_be_shown_is_replaced(
    text: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    survive_any_encoding()
    print(f"[{text}]", flush=True)
    shown = raw.getvalue().decode(encoding)
    assert shown.startswith("[")
    assert shown.rstrip().endswith("]")


def test_streams_that_cannot_be_told_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stdout", stream)
        survive_any_encoding()


@pytest.mark.parametrize("progress", ["bar", "lines"])
def test_a_training_ends_well_where_only_ascii_is_known(progress: str, tmp_path: Path) -> None:
    words = [*TRAIN.split(), "--progress", progress, "--run-dir", str(tmp_path / "Läufe")]
    done = subprocess.run(
        [sys.executable, "meta_train.py", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert b"done. Outcome" in done.stdout
