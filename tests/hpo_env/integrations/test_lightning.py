"""The controller in Lightning."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from tests.hpo_env.controlled_runs import random_policy, run_afresh
from tests.hpo_env.integrations.host_data import make_net, tensors, validation_loss

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    lightning = pytest.importorskip("lightning.pytorch")
    from hpo_env.integrations.lightning import HPOControlCallback

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning itself

EPOCHS = 4
STEPS = EPOCHS * 6


class Module(lightning.LightningModule):  # type: ignore[misc,name-defined]
    def __init__(self, has_scheduler: bool = False) -> None:
        super().__init__()
        self.net: Any = make_net()
        self.has_scheduler = has_scheduler
        self.used: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        x, y = batch
        return torch.nn.functional.cross_entropy(self.net(x), y)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.used.append(self.optimizers().param_groups[0]["lr"])  # what the host really used

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        if not self.has_scheduler:
            return optimizer
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def make(epochs: int = EPOCHS, folder: Path | None = None, **options: Any) -> tuple[Any, Any]:
    callback = HPOControlCallback(
        Controller(random_policy(num_decisions=8)),
        validate=lambda module: validation_loss(module.net),
        total_steps=STEPS,
    )
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
        default_root_dir=folder,
        **options,
    )
    return trainer, callback


def loader() -> Any:
    x, y, _, _ = tensors()
    dataset = torch.utils.data.TensorDataset(x, y)
    return torch.utils.data.DataLoader(dataset, batch_size=32)


def plain_rates(accumulate: int = 1) -> tuple[list[float], Any]:
    """Train the same in a plain loop, whose rates are tested elsewhere."""
    x, y, _, _ = tensors()
    net: Any = make_net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    run = Controller(random_policy(num_decisions=8)).attach(
        optimizer, total_steps=STEPS, validate=lambda: validation_loss(net)
    )
    rates = []
    for step in range(STEPS):
        rows = slice(step % 6 * 32, step % 6 * 32 + 32)
        loss = torch.nn.functional.cross_entropy(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
        run.step(loss)
    return rates, net


def test_lightning_uses_the_values_that_a_plain_loop_uses() -> None:
    module = Module()
    trainer, callback = make()
    trainer.fit(module, loader())
    rates, net = plain_rates()
    assert callback.run.is_over
    assert module.used == rates
    assert torch.equal(module.net[0].weight, net[0].weight)
    assert callback.run.decisions[1].observation["has_gradient"] == 1.0


def test_a_scheduler_of_the_module_is_corrected() -> None:
    module = Module(has_scheduler=True)
    trainer, callback = make()
    trainer.fit(module, loader())
    assert callback.run.is_over
    assert len(set(module.used)) == STEPS
    assert module.used == [row["learning_rate"] for row in callback.run.schedule]


def test_accumulated_batches_are_one_step_and_gradients_are_seen_before_clipping() -> None:
    module = Module()
    trainer, callback = make(EPOCHS, accumulate_grad_batches=3, gradient_clip_val=1e-3)
    trainer.fit(module, loader())
    assert callback.run.num_steps == STEPS // 3
    assert max(abs(d.observation["gradient_change"]) for d in callback.run.decisions) > 1e-3


def test_a_trainer_without_end_is_refused() -> None:
    callback = HPOControlCallback(Controller(random_policy()))
    trainer = lightning.Trainer(
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        accelerator="cpu",
        callbacks=[callback],
    )
    with pytest.raises(ConfigurationError, match="the trainer has no end"):
        trainer.fit(Module(), loader())


def resume(checkpoint: str, out: str) -> None:
    trainer, callback = make()
    module = Module()
    trainer.fit(module, loader(), ckpt_path=checkpoint)
    torch.save({"weight": module.net[0].weight.detach(), "schedule": callback.run.schedule}, out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    resume(*sys.argv[1:])


def test_a_run_goes_on_in_a_fresh_process(tmp_path: Path) -> None:
    whole, module = make(), Module()
    whole[0].fit(module, loader())
    half = make(EPOCHS // 2)
    half[0].fit(Module(), loader())
    half[0].save_checkpoint(tmp_path / "half.ckpt")
    run_afresh(
        "tests.hpo_env.integrations.test_lightning",
        (tmp_path / "half.ckpt", tmp_path / "out.pt"),
    )
    result = torch.load(tmp_path / "out.pt", weights_only=True)
    assert result["schedule"] == whole[1].run.schedule
    assert torch.equal(result["weight"], module.net[0].weight)
