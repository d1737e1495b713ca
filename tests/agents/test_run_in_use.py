"""A folder belongs to one process at a time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.config import TrainConfig
from agents.meta_training import meta_train
from agents.run_folder import RunFolder
from hpo_env.errors import RunFolderError

TinyConfig = Callable[..., TrainConfig]

HOLD = """
import sys
from pathlib import Path
from agents.run_folder import RunFolder
with RunFolder.open(Path(sys.argv[1])).in_use():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tiny: TinyConfig) -> tuple[subprocess.Popen[str], Path]:
    folder = meta_train(tiny())
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process, folder


def test_a_live_run_cannot_be_resumed_and_one_that_was_killed_can(
    held: tuple[subprocess.Popen[str], Path],
) -> None:
    process, folder = held
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(RunFolderError, match="in use: another process trains in it"):
        meta_train(TrainConfig(resume=folder, progress="quiet"))
    assert {path: path.read_bytes() for path in before} == before
    process.kill()
    process.communicate()
    meta_train(TrainConfig(resume=folder, progress="quiet"))


def test_a_run_that_failed_gives_its_folder_back(tiny: TinyConfig) -> None:
    folder = RunFolder.create(tiny().resolved())
    with pytest.raises(ZeroDivisionError), folder.in_use():
        raise ZeroDivisionError
    with folder.in_use(), pytest.raises(RunFolderError), folder.in_use():
        pass
