"""TensorBoard and Weights & Biases draw a run."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.errors import RunStoppedError
from tests.hpo_env.controlled_runs import Training, random_policy

STEPS = 24


def train(logger: Any) -> Run[Any]:
    training = Training()
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=0.01)
    run = Controller(random_policy()).attach(
        optimizer, total_steps=STEPS, validate=training.validate, loggers=[logger]
    )
    training.train(optimizer, run, range(STEPS))
    run.close()
    return run


def test_tensorboard_shows_values_decisions_and_losses(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from hpo_env.integrations.tensorboard import TensorBoardLogger

    run = train(TensorBoardLogger(tmp_path, has_observations=True))
    events = EventAccumulator(str(tmp_path)).Reload()
    rates = events.Scalars("hyperparameters/learning_rate")
    assert [event.step for event in rates] == [decision.step for decision in run.decisions]
    assert [event.value for event in rates] == pytest.approx(
        [decision.values["learning_rate"] for decision in run.decisions]
    )
    losses = [event.value for event in events.Scalars("intervals/validation_loss")]
    assert losses[:-1] == pytest.approx([d.validation_loss for d in run.decisions[1:]])
    tags = set(events.Tags()["scalars"])
    assert {"decisions/weight_decay", "decisions/guard", "observations/drop"} <= tags
    assert [event.value for event in events.Scalars("decisions/trust")] == [1.0] * 8


@pytest.mark.filterwarnings("ignore")
def test_weights_and_biases_gets_the_same_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wandb = pytest.importorskip("wandb")
    from hpo_env.integrations.wandb import STEP, WandbLogger

    monkeypatch.setenv("WANDB_SILENT", "true")
    tracked = wandb.init(project="test", mode="offline", dir=str(tmp_path))
    logged: list[dict[str, float]] = []
    own_log = tracked.log

    def log(row: dict[str, float]) -> None:
        logged.append(row)
        own_log(row)

    monkeypatch.setattr(tracked, "log", log)
    run = train(WandbLogger(tracked))
    tracked.finish()
    rates = [row for row in logged if "hyperparameters/learning_rate" in row]
    assert [row[STEP] for row in rates] == [decision.step for decision in run.decisions]
    assert any("intervals/validation_loss" in row for row in logged)
    assert list(tmp_path.rglob("*.wandb"))


@pytest.mark.parametrize(
    ("module", "blocked", "extra"),
    [
        ("lightning", "lightning", "lightning"),
        ("transformers", "transformers", "hf"),
        ("keras", "keras", "keras"),
        ("xgboost", "xgboost", "boost"),
        ("sb3", "stable_baselines3", "train"),
        ("optuna", "optuna", "search"),
    ],
)
def test_a_missing_extra_is_named_with_its_install_command(
    module: str, blocked: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import import_module

    from hpo_env.errors import MissingExtraError

    for name in [n for n in sys.modules if n.partition(".")[0] == blocked]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, blocked, None)
    monkeypatch.delitem(sys.modules, f"hpo_env.integrations.{module}", raising=False)
    with pytest.raises(MissingExtraError, match=rf"pip install 'hpo-control\[{extra}\]'"):
        import_module(f"hpo_env.integrations.{module}")


def test_no_integration_is_imported_before_it_is_asked_for() -> None:
    hosts = "lightning transformers accelerate keras sklearn lightgbm xgboost wandb tensorboard "
    hosts += "optuna"
    code = (
        "import sys, hpo_env.controller, hpo_env.control.torch_host; "
        f"assert not [h for h in {hosts.split()} if h in sys.modules]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class Stopping:
    """Ends the run after so many intervals."""

    def __init__(self, num_intervals: int) -> None:
        self.num_left = num_intervals
        self.is_closed = False

    def log_decision(self, decision: Any) -> None:
        pass

    def log_interval(self, step: int, measured: Any) -> None:
        self.num_left -= 1
        if self.num_left == 0:
            raise RunStoppedError("enough")

    def close(self) -> None:
        self.is_closed = True


def test_a_logger_can_end_the_run_which_is_closed_after_all_were_told() -> None:
    training = Training()
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=0.01)
    loggers = [Stopping(3), Stopping(100)]
    run = Controller(random_policy()).attach(
        optimizer, total_steps=STEPS, validate=training.validate, loggers=loggers
    )
    with pytest.raises(RunStoppedError, match="enough"):
        training.train(optimizer, run, range(STEPS))
    assert len(run.decisions) == 3
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert [logger.is_closed for logger in loggers] == [True, True]
    assert loggers[1].num_left == 100 - 3
