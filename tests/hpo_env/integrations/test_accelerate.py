"""The controller in a loop with Accelerate."""

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
    accelerate = pytest.importorskip("accelerate")
    from hpo_env.integrations.accelerate import attach, step

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the host itself

STEPS = 24


class Loop:
    """A loop as Accelerate's documentation writes it."""

    def __init__(self, accumulate: int = 1) -> None:
        self.accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
        net = make_net()
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.95)
        self.net, self.optimizer, self.scheduler = self.accelerator.prepare(
            net, optimizer, scheduler
        )
        self.run = attach(
            Controller(random_policy(num_decisions=8)),
            self.accelerator,
            self.optimizer,
            total_steps=STEPS // accumulate,
            validate=lambda: validation_loss(self.net),
            base_schedule=self.scheduler,
        )

    def train(self, steps: range) -> list[float]:
        x, y, _, _ = tensors()
        used = []
        for number in steps:
            rows = slice(number % 6 * 32, number % 6 * 32 + 32)
            with self.accelerator.accumulate(self.net):
                loss = torch.nn.functional.cross_entropy(self.net(x[rows]), y[rows])
                self.accelerator.backward(loss)
                self.optimizer.step()
                used.append(self.optimizer.param_groups[0]["lr"])
                self.scheduler.step()
                self.optimizer.zero_grad()
                step(self.run, self.accelerator, loss)
        return used


def test_the_host_uses_what_the_controller_writes_on_top_of_a_prepared_scheduler() -> None:
    loop = Loop()
    used = loop.train(range(STEPS))
    assert loop.run.is_over
    assert used == [row["learning_rate"] for row in loop.run.schedule]
    corrections = [rate / (0.01 * 0.95**number) for number, rate in enumerate(used)]
    assert len({round(correction, 6) for correction in corrections}) >= 4


def test_accumulated_batches_are_one_step() -> None:
    loop = Loop(accumulate=4)
    loop.train(range(STEPS))
    assert loop.run.num_steps == STEPS // 4
    assert loop.run.is_over


def test_a_second_run_takes_the_place_of_the_first_in_checkpoints(tmp_path: Path) -> None:
    loop = Loop()
    loop.train(range(STEPS))
    loop.run.close()
    first = loop.run
    loop.run = attach(
        Controller(random_policy(num_decisions=8)),
        loop.accelerator,
        loop.optimizer,
        total_steps=STEPS,
        base_schedule=loop.scheduler,
    )
    loop.train(range(7))
    loop.accelerator.save_state(str(tmp_path))
    used = loop.train(range(7, 9))
    loop.accelerator.load_state(str(tmp_path))
    assert loop.run.num_steps == 7
    assert first.num_steps == STEPS
    assert loop.train(range(7, 9)) == used


def resume(folder: str, out: str) -> None:
    loop: Any = Loop()
    loop.accelerator.load_state(folder)
    used = loop.train(range(13, STEPS))
    torch.save({"weights": loop.net[0].weight.detach(), "used": used}, out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    resume(*sys.argv[1:])


def test_a_run_goes_on_in_a_fresh_process(tmp_path: Path) -> None:
    whole = Loop()
    used = whole.train(range(STEPS))
    half = Loop()
    half.train(range(13))
    half.accelerator.save_state(str(tmp_path / "state"))
    run_afresh(
        "tests.hpo_env.integrations.test_accelerate", (tmp_path / "state", tmp_path / "out.pt")
    )
    result = torch.load(tmp_path / "out.pt", weights_only=True)
    assert result["used"] == used[13:]
    assert torch.equal(result["weights"], whole.net[0].weight)
