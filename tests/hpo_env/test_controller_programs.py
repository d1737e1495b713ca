"""Random programs of a training loop: whatever a loop does, the controller keeps its promises.

300 programs in the gate; `HPO_CONTROL_PROGRAMS=10000` for a night.
"""

from __future__ import annotations

import copy
import math
import os
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as ls

from hpo_env.control import live_schedule, owners
from hpo_env.control.group_values import has, read
from hpo_env.controller import Controller, ControllerWarning
from hpo_env.errors import HPOControlError
from hpo_env.policy import Policy
from tests.hpo_env.controlled_runs import SPACE, random_policy

NUM_PROGRAMS = int(os.environ.get("HPO_CONTROL_PROGRAMS", "300"))
NAMES = ("learning_rate", "weight_decay", "momentum")
POLICIES = [random_policy(NAMES, seed=seed) for seed in range(4)]


class Program:
    """One random loop; `play` runs it and checks after every step.

    Args:
        seed: Of everything.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.weights = [nn.Parameter(torch.randn(3)) for _ in range(3)]
        self.total = int(self.rng.integers(2, 28))
        self.has_losses = self.rng.random() < 0.8
        self.has_validation = self.rng.random() < 0.6
        self.policy: Policy = POLICIES[seed % len(POLICIES)]
        groups = [{"params": [w], "lr": self.rate()} for w in self.weights]
        kinds = [
            lambda g: torch.optim.AdamW(g, weight_decay=0.01),
            lambda g: torch.optim.SGD(g, momentum=0.9),
            lambda g: torch.optim.RMSprop(g, momentum=0.3),
        ]
        self.kind, self.choice = kinds[int(self.rng.integers(3))], int(self.rng.integers(6))
        # A twin without a controller: what it has is what the user finds after close().
        twins = [{"params": [nn.Parameter(torch.zeros(1))], "lr": g["lr"]} for g in groups]
        self.twin = self.kind(twins)
        self.twins_scheduler = some_scheduler(self.twin, self.choice)
        self.optimizer: torch.optim.Optimizer = self.kind(groups)
        self.scheduler = some_scheduler(self.optimizer, self.choice)
        self.run: Any = None
        self.attach()

    def rate(self) -> float:
        return float(10.0 ** self.rng.uniform(-5, -1))

    def attach(self, state: Any = None) -> None:
        try:
            self.run = Controller(self.policy).attach(
                self.optimizer,
                total_steps=self.total,
                num_decisions=8,
                base_schedule=self.scheduler,
                validate=self.validate if self.has_validation else None,
                state=state,
            )
        except KeyboardInterrupt:  # in validate; and the cell is run again
            self.attach(state)

    def validate(self) -> float | None:
        chance = self.rng.random()
        if chance < 0.1:
            raise KeyboardInterrupt if chance < 0.02 else RuntimeError("no disk")
        return None if self.rng.random() < 0.2 else float(self.loss())

    def loss(self) -> torch.Tensor:
        return sum((w**2).mean() for w in self.weights) + 0.1  # type: ignore[return-value]

    def step(self) -> None:
        is_bad = self.rng.random() < 0.03
        loss = self.loss() * (math.nan if is_bad else 1.0)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
            self.twins_scheduler.step()
        try:
            self.run.step(loss if self.has_losses else None)
        except KeyboardInterrupt:  # in validate; and the cell is run again
            if self.rng.random() < 0.5:
                self.attach_again()

    def add_group(self) -> None:
        weight, rate = nn.Parameter(torch.randn(2)), self.rate()
        self.weights.append(weight)
        self.optimizer.add_param_group({"params": [weight], "lr": rate})
        if self.scheduler is None:  # torch's own refuse groups that came later
            self.twin.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": rate})

    def freeze_weights(self) -> None:
        weight = self.weights[int(self.rng.integers(len(self.weights)))]
        weight.requires_grad_(not weight.requires_grad)
        if not any(w.requires_grad for w in self.weights):
            weight.requires_grad_(True)

    def resume(self) -> None:
        state = self.run.state_dict()
        self.total = max(self.total + int(self.rng.integers(-3, 6)), 1)
        self.attach(state)

    def resume_elsewhere(self) -> None:
        """Go on as another process would, with all that was saved."""
        if self.scheduler is not None and len(self.weights) > 3:
            return  # no scheduler can be built that knows some of the groups
        state = copy.deepcopy(self.run.state_dict())
        optimizer_state = copy.deepcopy(self.optimizer.state_dict())
        scheduler_state = self.scheduler.state_dict() if self.scheduler is not None else None
        flags = [weight.requires_grad for weight in self.weights]
        self.weights = [nn.Parameter(weight.detach().clone()) for weight in self.weights]
        for weight, flag in zip(self.weights, flags, strict=True):
            weight.requires_grad_(flag)
        self.optimizer = self.kind([{"params": [w], "lr": self.rate()} for w in self.weights])
        self.scheduler = some_scheduler(self.optimizer, self.choice)
        loads = [lambda: self.optimizer.load_state_dict(optimizer_state)]
        if self.scheduler is not None:
            loads.append(lambda: self.scheduler.load_state_dict(scheduler_state))
        is_before = self.rng.random() < 0.5
        for load in loads if is_before else ():
            load()
        self.attach(state)
        for load in () if is_before else loads:
            load()

    def attach_again(self) -> None:
        """Attach over a run that is still open, which must have left what the user wrote."""
        self.attach()

    def pause(self) -> None:
        """Close the run, look, perhaps set another rate, and attach a new one."""
        self.run.close()
        self.check_what_the_user_finds()
        if self.scheduler is None and self.rng.random() < 0.5:
            rate = self.rate()
            for optimizer in (self.optimizer, self.twin):
                optimizer.param_groups[-1]["lr"] = rate
        self.attach()

    def check_what_the_user_finds(self) -> None:
        """Compare with the twin, which no controller has ever seen."""
        assert not self.optimizer._optimizer_step_pre_hooks
        assert self.scheduler is None or self.scheduler.optimizer is self.optimizer
        for group, twin in zip(self.optimizer.param_groups, self.twin.param_groups, strict=False):
            for name in NAMES:
                if has(twin, name):
                    found, expected = read(group, name), read(twin, name)
                    assert math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-15), name

    def extend(self) -> None:
        self.run.extend(self.run.plan.total_steps + int(self.rng.integers(0, 9)))
        self.total = self.run.plan.total_steps

    def play(self) -> None:
        acts = [
            self.add_group,
            self.freeze_weights,
            self.resume,
            self.resume_elsewhere,
            self.extend,
            self.attach_again,
            self.pause,
        ]
        for _ in range(self.total + 3):
            if self.rng.random() < 0.15:
                try:
                    acts[int(self.rng.integers(len(acts)))]()
                except HPOControlError:
                    self.attach()  # a run that is refused is begun anew
            self.step()
            self.check()
        self.run.close()
        self.check_what_the_user_finds()

    def check(self) -> None:
        """Check what must hold after every step of every loop."""
        run, names = self.run, self.run.policy.space.names
        assert all(math.isfinite(value) for value in run.values.values())
        for name, writer in run.host._groups.items():
            low, high = (float(limit[SPACE.index(name)]) for limit in (SPACE.low, SPACE.high))
            corrections, factor = run._course.in_force
            factor = factor if name == "learning_rate" else 1.0
            for number, place in enumerate(writer.places()):
                base = place.start * factor if name in names else place.start
                assert base >= 0.0, name
                if math.isnan(place.written):
                    continue
                assert min(low, base) * (1 - 1e-9) <= place.written, name
                assert place.written <= max(high, base) * (1 + 1e-9), name
                if number < 3 and base > 0.0:  # those that come later are written at a decision
                    correction = float(corrections[0, names.index(name)]) if name in names else 0.0
                    corrected = SPACE.corrected(name, base, correction)
                    assert math.isclose(place.written, corrected, rel_tol=1e-9, abs_tol=2e-6), name
        if run.decisions[-1].reason == "blind" and not (self.has_losses or self.has_validation):
            assert not run._decider.steering.corrections.any()
            for name, writer in run.host._groups.items():
                factor = run._course.in_force[1] if name == "learning_rate" else 1.0
                for place in writer.places()[:3]:
                    assert math.isclose(place.written, place.start * factor, abs_tol=2e-6), name


def some_scheduler(optimizer: torch.optim.Optimizer, choice: int) -> Any:
    """Build one of some schedulers, or none."""
    if choice == 0:
        return ls.StepLR(optimizer, 5, 0.5)
    if choice == 1:
        return ls.LambdaLR(optimizer, lambda t: float(t > 7))
    if choice == 2:
        return ls.ExponentialLR(optimizer, 0.9)  # computes each rate from the last
    return None


def test_whatever_a_loop_does_the_promises_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    # Searches for schedulers of others and for modules look through the whole process.
    monkeypatch.setattr(live_schedule, "_living_schedulers", lambda optimizers: [])
    monkeypatch.setattr(owners, "_living_modules", list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ControllerWarning)
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        for seed in range(NUM_PROGRAMS):
            torch.manual_seed(seed)
            try:
                Program(seed).play()
            except Exception as error:
                error.add_note(f"program {seed}")
                raise
