"""The controller in Lightning."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo_env.controller import Controller, ControllerWarning
from hpo_env.errors import ConfigurationError
from tests.hpo_env.controlled_runs import fixed_policy, random_policy, run_afresh
from tests.hpo_env.integrations.host_data import make_net, tensors, validation_loss

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    lightning = pytest.importorskip("lightning.pytorch")
    from hpo_env.integrations.lightning import HPOControlCallback

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning itself

EPOCHS = 4
STEPS = EPOCHS * 6


class Module(lightning.LightningModule):  # type: ignore[name-defined]
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
        loss.backward()
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


@pytest.mark.parametrize(("start", "rate"), [("learned", 3e-3), ("user", 0.01), (None, 0.01)])
def test_a_run_begins_where_it_is_asked_to(start: Any, rate: float) -> None:
    module, (trainer, _) = Module(), make()
    still = Controller(fixed_policy(0.0, base_schedule="constant"))
    trainer.callbacks[0] = HPOControlCallback(still, total_steps=STEPS, start=start)
    trainer.fit(module, loader())
    assert set(module.used) == {rate}


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


class ManualModule(Module):
    """Steps its optimisers itself, and returns no loss."""

    def __init__(self, num_optimizers: int = 1) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.num_optimizers = num_optimizers
        self.losses: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        x, y = batch
        optimizers = self.optimizers()
        for optimizer in [optimizers] if self.num_optimizers == 1 else optimizers:
            loss = torch.nn.functional.cross_entropy(self.net(x), y)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.losses.append(loss.item())

    def configure_optimizers(self) -> Any:
        parameters = list(self.parameters())
        parts = [parameters] if self.num_optimizers == 1 else [parameters[:2], parameters[2:]]
        return [torch.optim.AdamW(part, lr=0.01) for part in parts]


def make_bare(*callbacks: Any, **options: Any) -> Any:
    return lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **options,
    )


def test_under_manual_optimisation_the_loss_is_that_of_the_backward_pass() -> None:
    callback = HPOControlCallback(Controller(random_policy(num_decisions=8)))
    module = ManualModule()
    make_bare(callback, max_epochs=EPOCHS).fit(module, loader())
    run = callback.run
    assert run is not None
    assert run.num_steps == STEPS
    means = [sum(module.losses[i : i + 3]) / 3 for i in range(0, STEPS, 3)]
    assert [d.train_loss for d in run.decisions[1:]] == pytest.approx(means[:-1], rel=1e-5)


def test_max_steps_counts_the_steps_of_each_optimiser_by_hand() -> None:
    callback = HPOControlCallback(Controller(random_policy(num_decisions=4)))
    make_bare(callback, max_steps=STEPS).fit(ManualModule(2), loader())
    assert callback.run is not None
    assert callback.run.num_steps == callback.run.plan.total_steps == STEPS // 2


def test_steps_before_a_checkpoint_without_a_run_are_not_to_come(tmp_path: Path) -> None:
    before = make_bare(max_epochs=1)
    before.fit(Module(), loader())
    before.save_checkpoint(tmp_path / "bare.ckpt")
    trainer, callback = make()
    with pytest.warns(ControllerWarning, match="begins anew, for the 18 updates to come"):
        trainer.fit(Module(), loader(), ckpt_path=tmp_path / "bare.ckpt")
    assert callback.run.num_steps == callback.run.plan.total_steps == STEPS - 6


def resumed_for(epochs: int, folder: Path) -> Any:
    first = HPOControlCallback(Controller(random_policy(num_decisions=8)), total_steps=STEPS)
    half = make_bare(first, max_epochs=EPOCHS // 2)
    half.fit(Module(), loader())
    half.save_checkpoint(folder / "half.ckpt")
    callback = HPOControlCallback(Controller(random_policy(num_decisions=8)))
    make_bare(callback, max_epochs=epochs).fit(Module(), loader(), ckpt_path=folder / "half.ckpt")
    return callback.run


def test_a_resumed_training_of_more_epochs_is_steered_to_its_end(tmp_path: Path) -> None:
    run = resumed_for(EPOCHS + 1, tmp_path)
    assert run.num_steps == run.plan.total_steps == STEPS + 6


def test_a_resumed_training_of_fewer_epochs_comes_to_the_end_of_its_schedule(
    tmp_path: Path,
) -> None:
    run = resumed_for(EPOCHS - 1, tmp_path)
    assert run.num_steps == run.plan.total_steps == STEPS - 6


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
