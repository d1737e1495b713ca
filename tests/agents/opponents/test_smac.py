from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.opponents.smac_search import SmacSearch
from tests.agents.opponents.searching import QUADRATIC, RATE, instances, search_one

_SEARCH = """
import numpy as np
from agents.opponents.base import Instance
from agents.opponents.lanes import Workload
from agents.opponents.smac_search import SmacSearch
from hpo_env.tasks.registry import make_family
task = make_family("quadratic", num_decisions=9).sample(np.random.default_rng(0))
workload, instance = Workload(family="quadratic"), Instance(task=task, seed=3)
search = SmacSearch(name="smac3", hyperparameters=("learning_rate",), max_runs=16)
outcome = search.run(workload, [search.canonical(instance, workload)], {})[0]
losses = outcome.trial_validation_loss.tolist()
"""


def test_proposals_do_not_depend_on_how_a_process_hashes_strings() -> None:
    here: dict[str, Any] = {}
    exec(_SEARCH, here)
    elsewhere = subprocess.run(
        [sys.executable, "-c", f"{_SEARCH}print(losses)"],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert elsewhere.stdout.strip() == str(here["losses"])
    assert len(here["losses"]) == 16


def test_no_files_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    search_one(
        SmacSearch(name="smac3", hyperparameters=RATE, max_runs=4),
        QUADRATIC,
        instances(QUADRATIC)[0],
    )
    assert list(tmp_path.iterdir()) == []
