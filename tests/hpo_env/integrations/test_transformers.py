"""The controller in the Trainer of Hugging Face."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo_env.controller import Controller
from tests.hpo_env.controlled_runs import random_policy, run_afresh
from tests.hpo_env.integrations.host_data import make_net, tensors, validation_loss

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from hpo_env.integrations.transformers import STATE_FILE, HPOControlCallback

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the host itself

EPOCHS = 4
STEPS = EPOCHS * 6


class Model(torch.nn.Module):
    """A net with the interface of a transformer: labels in, a loss out."""

    def __init__(self) -> None:
        super().__init__()
        self.net = make_net()

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.net(x)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class Recorder(transformers.TrainerCallback):  # type: ignore[misc,name-defined]
    """Reads back what the host used."""

    def __init__(self) -> None:
        self.used: list[float] = []

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self.used.append(kwargs["optimizer"].param_groups[0]["lr"])


def make(folder: Path, **options: Any) -> tuple[Any, Any, Recorder]:
    x, y, vx, vy = tensors()
    rows = [{"x": a, "labels": b} for a, b in zip(x, y, strict=True)]
    validation = [{"x": a, "labels": b} for a, b in zip(vx, vy, strict=True)]
    arguments: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": EPOCHS,
        "per_device_train_batch_size": 32,
        "learning_rate": 0.01,
        "report_to": [],
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    has_own_validation = "eval_strategy" in options
    callback = HPOControlCallback(
        Controller(random_policy(num_decisions=8)),
        validate=None if has_own_validation else lambda model: validation_loss(model.net),
    )
    recorder = Recorder()
    torch.manual_seed(0)
    trainer = transformers.Trainer(
        model=Model(),
        args=transformers.TrainingArguments(**arguments | options),
        train_dataset=rows,
        eval_dataset=validation,
        callbacks=[callback, recorder],
    )
    return trainer, callback, recorder


def test_the_host_uses_what_the_controller_writes_on_top_of_its_scheduler(tmp_path: Path) -> None:
    trainer, callback, recorder = make(tmp_path)
    trainer.train()
    assert callback.run.is_over
    assert len(recorder.used) == STEPS
    assert recorder.used == [row["learning_rate"] for row in callback.run.schedule]
    base = [0.01 * (1 - step / STEPS) for step in range(STEPS)]  # the trainer's own, linear
    corrections = [used / rate for used, rate in zip(recorder.used, base, strict=True)]
    assert len({round(correction, 6) for correction in corrections}) >= 4
    second = callback.run.decisions[1].observation
    assert (second["has_training"], second["has_validation"], second["has_gradient"]) == (1, 1, 1)


def test_without_a_function_the_hosts_own_evaluation_is_followed(tmp_path: Path) -> None:
    trainer, callback, _ = make(tmp_path, eval_strategy="steps", eval_steps=3)
    trainer.train()
    assert [d.observation["has_validation"] for d in callback.run.decisions[2:]] == [1.0] * 6
    assert len({d.validation_loss for d in callback.run.decisions[2:]}) == 6


def test_accumulated_batches_are_one_step(tmp_path: Path) -> None:
    trainer, callback, recorder = make(tmp_path, gradient_accumulation_steps=3)
    trainer.train()
    assert callback.run.num_steps == len(recorder.used) == STEPS // 3
    assert callback.run.is_over


def resume(folder: str, out: str) -> None:
    trainer, callback, recorder = make(Path(folder), save_strategy="steps", save_steps=13)
    trainer.train(resume_from_checkpoint=f"{folder}/checkpoint-13")
    weights = trainer.model.net[0].weight.detach()
    torch.save({"weights": weights, "used": recorder.used, "n": callback.run.num_steps}, out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    resume(*sys.argv[1:])


def test_a_run_goes_on_in_a_fresh_process(tmp_path: Path) -> None:
    whole, callback, recorder = make(tmp_path, save_strategy="steps", save_steps=13)
    whole.train()
    assert (tmp_path / "checkpoint-13" / STATE_FILE).is_file()
    run_afresh("tests.hpo_env.integrations.test_transformers", (tmp_path, tmp_path / "out.pt"))
    result = torch.load(tmp_path / "out.pt", weights_only=True)
    assert result["n"] == callback.run.num_steps == STEPS
    assert result["used"] == recorder.used[13:]
    assert torch.equal(result["weights"], whole.model.net[0].weight)
