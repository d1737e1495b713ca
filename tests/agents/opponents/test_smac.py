from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.opponents.smac_search import SmacSearch
from tests.agents.opponents.searching import QUADRATIC, RATE, instances, search_one

_SEARCH = """
from agents.opponents.smac_search import SmacSearch
from tests.agents.opponents.searching import QUADRATIC, RATE, instances, search_one
search = SmacSearch(name="smac3", knobs=RATE, max_runs=16)
print(search_one(search, QUADRATIC, instances(QUADRATIC)[0]).trial_validation_loss.tolist())
"""


def test_proposals_do_not_depend_on_how_a_process_hashes_strings() -> None:
    losses = {
        subprocess.run(
            [sys.executable, "-c", _SEARCH],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(losses) == 1


def test_no_files_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    search_one(SmacSearch(name="smac3", knobs=RATE, max_runs=4), QUADRATIC, instances(QUADRATIC)[0])
    assert list(tmp_path.iterdir()) == []
