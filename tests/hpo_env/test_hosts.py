"""Every host that needs no optional package keeps the contract of hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from hpo_env.control.host import Host
from hpo_env.control.plain_host import PlainHost
from hpo_env.control.torch_host import TorchHost
from hpo_env.control.weights_host import WeightsHost
from hpo_env.control.writers import FunctionWriter
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.seeding import stream
from hpo_env.tasks.array_twins import SmoothingHost
from hpo_env.tasks.local_level import LocalLevelTask
from hpo_env.tasks.registry import make_family
from hpo_env.telemetry import Telemetry
from hpo_env.testing.hosts import HostContract, HostUnderTest
from hpo_env.testing.trainer_host import TrainerHost
from tests.hpo_env.controlled_runs import SPACE, Training, random_policy


class InTorch(HostUnderTest):
    """A loop of torch with an optimiser of two param groups."""

    def __init__(self, *, has_scheduler: bool = False) -> None:
        self._training = Training(dropout=0.2)
        first, _, dropout, last = self._training.model
        self._dropout = dropout
        self._optimizer = torch.optim.AdamW(
            [{"params": first.parameters(), "lr": 0.01}, {"params": last.parameters(), "lr": 0.02}]
        )
        self._scheduler = (
            lr_scheduler.CosineAnnealingLR(self._optimizer, 40) if has_scheduler else None
        )
        self._num_updates = 0
        self.host = TorchHost(
            SPACE,
            [self._optimizer],
            schedulers=[self._scheduler] if self._scheduler else [],
            model=self._training.model,
            validate=self._training.validate,
        )

    def update(self) -> Any:
        torch.manual_seed(self._num_updates)  # of dropout
        loss = self._training.loss(self._num_updates)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._num_updates += 1
        return loss

    def read(self) -> Mapping[str, float]:
        group = self._optimizer.param_groups[1]
        return {
            "learning_rate": group["lr"],
            "weight_decay": group["weight_decay"],
            "momentum": group["betas"][0],
            "dropout": self._dropout.p,
        }

    def weights(self) -> Any:
        return self._training.weights().numpy().copy()

    def surroundings(self) -> Any:
        optimizer = self._optimizer
        hooks = len(optimizer._optimizer_step_pre_hooks)
        loads = len(optimizer._optimizer_load_state_dict_post_hooks)
        return hooks, loads, self._scheduler is None or self._scheduler.optimizer is optimizer


class TestTorchHost(HostContract):
    def make(self) -> HostUnderTest:
        return InTorch()


class TestTorchHostUnderAScheduler(HostContract):
    def make(self) -> HostUnderTest:
        return InTorch(has_scheduler=True)

    def test_a_closed_host_leaves_what_it_found(self) -> None:
        training = self.make()
        training.host.close()
        hooks, _, is_back = training.surroundings()
        assert (hooks, is_back) == (0, True)

    test_a_host_that_never_began_can_be_closed = test_a_closed_host_leaves_what_it_found


class WithWeights(HostUnderTest):
    """Somebody else's optimiser: its updates are announced."""

    def __init__(self) -> None:
        self._training = Training()
        self._rate, self._num_updates = 0.1, 0
        parameters: list[torch.Tensor] = list(self._training.model.parameters())
        writer = FunctionWriter(function=self._set, initial=0.1)
        self._weights = self.host = WeightsHost(
            {"learning_rate": writer}, parts=lambda: [parameters]
        )

    def _set(self, rate: float) -> None:
        self._rate = rate

    def update(self) -> Any:
        loss = self._training.loss(self._num_updates)
        self._training.model.zero_grad()
        loss.backward()
        self._weights.copy_weights()
        with torch.no_grad():
            for parameter in self._training.model.parameters():
                assert parameter.grad is not None
                parameter.sub_(parameter.grad, alpha=self._rate)
        self._weights.measure_gradients()
        self._num_updates += 1
        return loss.item()

    def read(self) -> Mapping[str, float]:
        return {"learning_rate": self._rate}

    def weights(self) -> Any:
        return self._training.weights().numpy().copy()


class TestWeightsHost(HostContract):
    def make(self) -> HostUnderTest:
        return WithWeights()


class WithFunctions(HostUnderTest):
    """A least-squares fit in NumPy."""

    def __init__(self) -> None:
        rng = stream(0, "rows")
        self._x, self._w = rng.normal(size=(32, 3)), np.zeros(3)
        self._y = self._x @ np.ones(3)
        self._values = {"learning_rate": 0.1}
        writer = FunctionWriter(function=self._set, initial=0.1)
        self.host: Host = PlainHost({"learning_rate": writer}, lambda: self._loss())

    def _set(self, rate: float) -> None:
        self._values["learning_rate"] = rate

    def _loss(self) -> float:
        return float(np.mean((self._x @ self._w - self._y) ** 2))

    def update(self) -> Any:
        loss = self._loss()
        gradient = self._x.T @ (self._x @ self._w - self._y) / len(self._x)
        self._w = self._w - self._values["learning_rate"] * gradient
        return loss

    def read(self) -> Mapping[str, float]:
        return dict(self._values)

    def weights(self) -> Any:
        return self._w.copy()


class TestPlainHost(HostContract):
    def make(self) -> HostUnderTest:
        return WithFunctions()


class Smoothing(HostUnderTest):
    def __init__(self) -> None:
        task = make_family("local_level").sample(stream(0, "task"))
        self._smoothing = SmoothingHost(cast(LocalLevelTask, task), 5)
        self.host = self._smoothing

    def update(self) -> Any:
        return self._smoothing.observe_next()

    def read(self) -> Mapping[str, float]:
        return {"smoothing": self._smoothing._smoothing}

    def weights(self) -> Any:
        return self._smoothing._level.copy()


class TestSmoothingHost(HostContract):
    def make(self) -> HostUnderTest:
        return Smoothing()


class OfATrainer(HostUnderTest):
    """A lane of a trainer; its update is made when it is counted."""

    def __init__(self) -> None:
        family = make_family("quadratic")
        task = replace(family.sample(stream(0, "task")), initial=(0.01,))
        self._lane = TrainerHost(family, task, 5)
        self.host = self._lane

    def update(self) -> Any:
        return None

    def read(self) -> Mapping[str, float]:
        return {"learning_rate": self._lane._values[0, 0]}

    def weights(self) -> Any:
        return self._lane._trainer.snapshot(np.array([0]))[0]["weights"]


class TestTrainerHost(HostContract):
    def make(self) -> HostUnderTest:
        return OfATrainer()

    def test_measuring_and_validating_leave_the_training_alone(self) -> None:
        pytest.skip("here measuring is training")

    def test_its_state_is_plain_data(self) -> None:
        pytest.skip("its state is a trainer's snapshot, which nobody saves")

    def test_a_roll_back_returns_to_the_start_of_the_interval_or_does_nothing(self) -> None:
        training = OfATrainer()
        start = training.weights()
        training.host.note_update(None)  # an interval of the trainer is one update of the run
        assert training.host.roll_back()
        np.testing.assert_equal(training.weights(), start)


class Halving(Host):
    """A host as an outsider would write one: a loss that falls by the share that is written."""

    def __init__(self) -> None:
        self.loss, self.share = 1.0, 0.01

    @property
    def initial(self) -> Mapping[str, float]:
        return {"learning_rate": 0.01}

    def note_update(self, loss: Any) -> None:
        self.loss *= 1.0 - self.share

    def validate(self) -> Any:
        return self.loss

    def measure(self, validation_loss: float) -> Telemetry:
        telemetry = Telemetry.missing(1)
        telemetry.validation_loss[:] = validation_loss
        return telemetry

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        self.share = min(values["learning_rate"], 0.5)
        return {"learning_rate": self.share}


def test_a_host_of_ones_own_is_steered() -> None:
    host = Halving()
    run = Controller(random_policy(["learning_rate"])).steer(host, total_steps=16)
    for _ in range(16):
        run.step()
    assert run.is_over
    assert run.values == {"learning_rate": host.share}
    assert len({decision.values["learning_rate"] for decision in run.decisions}) > 4
    assert host.loss < 1.0


def test_a_training_that_cannot_be_steered_is_left_as_it_was_found() -> None:
    training = Training()
    optimizer = torch.optim.SGD(training.model.parameters(), lr=0.01)
    scheduler = lr_scheduler.StepLR(optimizer, 10)
    with pytest.raises(ConfigurationError, match="none of them can be written"):
        Controller(random_policy(["label_smoothing"])).attach(
            optimizer, total_steps=4, base_schedule=scheduler
        )
    assert scheduler.optimizer is optimizer
    assert not optimizer._optimizer_step_pre_hooks
