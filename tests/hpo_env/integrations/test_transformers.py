"""The controller in the Trainer of Hugging Face."""

from __future__ import annotations

import sys
import types
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo_env.controller import Controller, ControllerWarning
from tests.hpo_env.controlled_runs import random_policy, run_afresh
from tests.hpo_env.integrations.host_data import make_net, tensors, validation_loss
from tests.hpo_env.integrations.steered_trainings import WithLoss

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


class Recorder(transformers.TrainerCallback):  # type: ignore[name-defined]
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


def run_without_validation(trainer: Any) -> Any:
    """Train with a callback that has nothing to follow but the training loss."""
    callback = HPOControlCallback(Controller(random_policy(num_decisions=8)))
    for one in list(trainer.callback_handler.callbacks):
        if isinstance(one, HPOControlCallback):
            trainer.remove_callback(one)
    trainer.add_callback(callback)
    trainer.train()
    return callback.run


def test_with_label_smoothing_the_smoothed_loss_is_followed(tmp_path: Path) -> None:
    plain, _, _ = make(tmp_path)
    unsmoothed = [d.train_loss for d in run_without_validation(plain).decisions[1:]]
    arguments = make(tmp_path)[0].args
    arguments.label_smoothing_factor = 0.5
    model = WithLoss()
    model.config = types.SimpleNamespace(problem_type=None)  # type: ignore[assignment]
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=plain.train_dataset)
    smoothed = [d.train_loss for d in run_without_validation(trainer).decisions[1:]]
    assert len(smoothed) == 7
    assert min(smoothed) > 0.0
    assert smoothed[-1] > unsmoothed[-1] + 0.1  # no net fits smoothed labels


def test_the_loss_of_ones_own_is_followed(tmp_path: Path) -> None:
    losses: list[float] = []

    class Trainer(transformers.Trainer):  # type: ignore[name-defined]
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = model(inputs["x"])
            loss = 3.0 * torch.nn.functional.cross_entropy(outputs["logits"], inputs["labels"])
            losses.append(loss.item())
            return loss

    trainer, _, _ = make(tmp_path)
    own = Trainer(model=WithLoss(), args=trainer.args, train_dataset=trainer.train_dataset)
    run = run_without_validation(own)
    means = [sum(losses[i : i + 3]) / 3 for i in range(0, STEPS, 3)]
    assert [d.train_loss for d in run.decisions[1:]] == pytest.approx(means[:-1], rel=1e-5)
    assert "training_step" not in vars(own)


def test_accumulated_losses_are_those_of_whole_batches(tmp_path: Path) -> None:
    parts, _, _ = make(tmp_path, per_device_train_batch_size=16, gradient_accumulation_steps=2)
    whole, _, _ = make(tmp_path)
    expected = [d.train_loss for d in run_without_validation(whole).decisions[1:]]
    found = [d.train_loss for d in run_without_validation(parts).decisions[1:]]
    assert found == pytest.approx(expected, rel=1e-3)


def saved_at(step: int, folder: Path) -> Path:
    trainer, _, _ = make(folder, save_strategy="steps", save_steps=step)
    trainer.train()
    return folder / f"checkpoint-{step}"


def test_a_run_goes_on_from_a_checkpoint_in_another_folder(tmp_path: Path) -> None:
    checkpoint = saved_at(13, tmp_path / "first")
    trainer, callback, recorder = make(tmp_path / "second")
    trainer.train(resume_from_checkpoint=str(checkpoint))
    assert callback.run.num_steps == callback.run.plan.total_steps == STEPS
    assert len(callback.run.decisions) == 8
    assert len(recorder.used) == STEPS - 13


def test_steps_before_a_checkpoint_without_a_run_are_not_to_come(tmp_path: Path) -> None:
    checkpoint = saved_at(13, tmp_path)
    (checkpoint / STATE_FILE).unlink()
    trainer, callback, _ = make(tmp_path)
    with pytest.warns(ControllerWarning, match="begins anew, for the 11 updates to come"):
        trainer.train(resume_from_checkpoint=str(checkpoint))
    assert callback.run.num_steps == callback.run.plan.total_steps == STEPS - 13


def test_a_resumed_training_of_more_epochs_is_steered_to_its_end(tmp_path: Path) -> None:
    checkpoint = saved_at(13, tmp_path)
    trainer, callback, _ = make(tmp_path, num_train_epochs=EPOCHS + 1)
    trainer.train(resume_from_checkpoint=str(checkpoint))
    assert callback.run.num_steps == callback.run.plan.total_steps == STEPS + 6


def test_a_resumed_training_of_fewer_epochs_comes_to_the_end_of_its_schedule(
    tmp_path: Path,
) -> None:
    checkpoint = saved_at(13, tmp_path)
    trainer, callback, _ = make(tmp_path, num_train_epochs=EPOCHS - 1)
    trainer.train(resume_from_checkpoint=str(checkpoint))
    assert callback.run.num_steps == callback.run.plan.total_steps == STEPS - 6


def test_an_evaluation_is_new_only_once(tmp_path: Path) -> None:
    trainer, callback, _ = make(tmp_path, eval_strategy="steps", eval_steps=6)
    trainer.train()
    seen = [d.observation["has_validation"] for d in callback.run.decisions]
    assert seen == [-1.0, -1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0]


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
