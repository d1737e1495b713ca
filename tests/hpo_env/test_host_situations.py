"""Loops of torch and plain loops keep the contract of situations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from hpo_env.testing.situations import (
    DECAY,
    RATE,
    AtStep,
    SituationContract,
    SteeredTraining,
    lowering_controller,
)
from tests.hpo_env.controlled_runs import Training


class InTorch(SteeredTraining):
    """A loop of torch as users write it."""

    started_from: ClassVar[Mapping[str, float]] = {"learning_rate": RATE, "weight_decay": DECAY}
    foreign_writers = "refused"
    without_loss = "kept"
    has_param_groups = True
    takes_validate = True
    has_batches = True

    def __init__(self, *, has_scheduler: bool = False) -> None:
        self._training = Training()
        self._training.model.insert(1, nn.BatchNorm1d(12))
        self._rows = self._training.x.clone()
        self._has_losses, self._has_scheduler = True, has_scheduler
        self._optimizer = torch.optim.AdamW(
            self._training.model.parameters(), lr=RATE, weight_decay=DECAY
        )
        self._run: Any = None

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        return {"state": state, "total_steps": total_steps or self.num_steps} | options

    def train(self, callback: Any, at_step: AtStep, num_steps: int | None = None) -> None:
        optimizer, training = self._optimizer, self._training
        scheduler = None
        if self._has_scheduler:
            scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
        self._run = lowering_controller().attach(optimizer, base_schedule=scheduler, **callback)
        for step in range(num_steps or self.num_steps):
            at_step(step)
            loss = training.loss(step)
            training.x[:] = self._rows
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            self._run.step(loss if self._has_losses else None)
        self._run.close()

    def read(self) -> Mapping[str, float]:
        group = self._optimizer.param_groups[0]
        return {"learning_rate": group["lr"], "weight_decay": group["weight_decay"]}

    def write(self, rate: float) -> None:
        self._optimizer.param_groups[0]["lr"] = rate

    def run(self, callback: Any) -> Any:
        return self._run

    def lose_losses(self) -> None:
        self._has_losses = False

    def spoil(self) -> None:
        self._training.x[:] = math.inf

    def is_sound(self) -> bool:
        return math.isfinite(self._training.validate())

    def add_group(self, rate: float) -> None:
        weight = nn.Parameter(torch.zeros(2))
        self._optimizer.add_param_group({"params": [weight], "lr": rate})

    def read_added(self) -> float:
        return float(self._optimizer.param_groups[-1]["lr"])


class InPlain(SteeredTraining):
    """A loop of anything, whose value a function sets."""

    foreign_writers = "unseen"
    without_loss = "kept"
    takes_validate = True

    def __init__(self) -> None:
        self._rate, self._error, self._has_losses = RATE, 1.0, True
        self._run: Any = None

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        return {"state": state, "total_steps": total_steps or self.num_steps} | options

    def train(self, callback: Any, at_step: AtStep, num_steps: int | None = None) -> None:
        self._run = lowering_controller().drive(
            {"learning_rate": self.write}, initial={"learning_rate": RATE}, **callback
        )
        for step in range(num_steps or self.num_steps):
            at_step(step)
            self._error *= 1.0 - 0.1 * self._rate
            self._run.step(self._error if self._has_losses else None)
        self._run.close()

    def read(self) -> Mapping[str, float]:
        return {"learning_rate": self._rate}

    def write(self, rate: float) -> None:
        self._rate = rate

    def run(self, callback: Any) -> Any:
        return self._run

    def lose_losses(self) -> None:
        self._has_losses = False


class TestTorch(SituationContract):
    make = InTorch


class TestTorchUnderAScheduler(SituationContract):
    def make(self) -> SteeredTraining:
        return InTorch(has_scheduler=True)


class TestPlain(SituationContract):
    make = InPlain
