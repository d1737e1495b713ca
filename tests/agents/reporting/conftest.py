"""A small real run, an evaluation in it, a second run and a controlled one, in one folder.

And a realistic table of a comparison, and the page that is made of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from agents.comparing.comparison import run_here
from agents.comparing.matrix import EvaluationProtocol
from agents.comparing.schedules import compare_schedules
from agents.config import TrainConfig
from agents.meta_training import meta_train
from agents.reporting.closing import record_comparison
from agents.reporting.comparisons import render_comparison
from hpo_env.controller import Controller
from hpo_env.integrations.tensorboard import TensorBoardLogger
from hpo_env.policy_file import load
from hpo_env.tasks.base import Suite
from tests.agents.statistics.tables import realistic_table

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder of runs, once."""
    folder = tmp_path_factory.mktemp("logs")
    run = _train(folder, "ppo", steps=20_000)
    policy = load(run / "policy")
    comparison = compare_schedules(
        policy,
        "quadratic",
        [Suite(name="test", help="test tasks", options={"split": "test"})],
        EvaluationProtocol(
            num_tasks=6, num_seeds=1, num_tuning_tasks=3, starts=None, engine="eager"
        ),
        names=("frozen", "cosine_tuned"),
    )
    folder_of_evaluation = run / "evaluations" / "test"
    compared = run_here(comparison)
    record_comparison(
        comparison, compared, "test", folder_of_evaluation, title="quadratic, test tasks"
    )
    _train(folder, "a2c", steps=600)
    _control(Controller(policy), folder / "mine")
    return folder


def _train(folder: Path, agent: str, steps: int) -> Path:
    return meta_train(
        TrainConfig.of(
            family="quadratic",
            agent=agent,
            num_envs=32,
            n_steps=10,
            steps=steps,
            segment_steps=max(steps // 5, 300),
            num_decisions=10,
            validation_lanes=12,
            run_dir=folder,
            progress="quiet",
        )
    )


def _control(controller: Controller, folder: Path) -> None:
    """Let the policy steer a user's own run of gradient descent."""
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = torch.optim.SGD([weight], lr=1e-3)
    logger = TensorBoardLogger(folder)
    run = controller.attach(
        optimizer,
        total_steps=40,
        num_decisions=10,
        validate=lambda: float(_bounded(weight.detach())),
        loggers=[logger],
    )
    for _ in range(40):
        loss = _bounded(weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss)
    logger.close()


def _bounded(weight: torch.Tensor) -> torch.Tensor:
    """Compute a loss that no learning rate can blow up."""
    return (weight**2 / (1.0 + weight**2)).sum() + 0.1


@pytest.fixture(scope="session")
def run(runs: Path) -> Path:
    """Return the run folder of the larger run."""
    (folder,) = runs.glob("quadratic-ppo-*")
    return folder


@pytest.fixture(scope="session")
def dashboard(runs: Path) -> Iterator[str]:
    """Start `hpo-control dashboard`; returns the address that it prints."""
    command = "import sys; from agents.cli import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "dashboard", str(runs), "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("TensorBoard: http://127.0.0.1:") or "localhost" in line, line
    yield line.split()[1]
    process.terminate()
    process.communicate(timeout=30)


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    return realistic_table(num_seeds=2)


@pytest.fixture(scope="session")
def text(table: pd.DataFrame) -> str:
    return render_comparison(table, {"title": "Quick & small", "seed": 3, "preset": "quick"})
