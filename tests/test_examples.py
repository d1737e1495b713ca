"""Every example runs to its end."""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
HOSTS = {
    "accelerate_loop": ["accelerate"],
    "hugging_face_trainer": ["transformers", "accelerate"],
    "keras_fit": ["keras"],
    "lightgbm_train": ["lightgbm"],
    "lightning_trainer": ["lightning"],
    "stable_baselines3_agent": ["stable_baselines3"],
    "xgboost_train": ["xgboost"],
}


def test_there_are_examples() -> None:
    assert set(HOSTS) < {path.stem for path in EXAMPLES}


@pytest.mark.filterwarnings("ignore")  # those of the hosts
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for host in HOSTS.get(path.stem, []):
        if find_spec(host) is None:
            pytest.skip(f"{host} is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(sys, "argv", [str(path)])  # the shipped policy, as a reader would
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
