"""Random programs of a training loop: whatever a loop does, the controller keeps its promises.

300 programs in the gate; `HPO_CONTROL_PROGRAMS=10000` for a night.
"""

from __future__ import annotations

import math
import os
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as ls

from hpo_env.control import live_schedule
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
        self.optimizer: torch.optim.Optimizer = kinds[int(self.rng.integers(3))](groups)
        self.scheduler = self.some_scheduler()
        self.run: Any = None
        self.attach()

    def rate(self) -> float:
        return float(10.0 ** self.rng.uniform(-5, -1))

    def some_scheduler(self) -> Any:
        choice = self.rng.integers(4)
        if choice == 0:
            return ls.StepLR(self.optimizer, 5, 0.5)
        if choice == 1:
            return ls.LambdaLR(self.optimizer, lambda t: float(t > 7))
        return None

    def attach(self, state: Any = None) -> None:
        self.run = Controller(self.policy).attach(
            self.optimizer,
            total_steps=self.total,
            num_decisions=8,
            base_schedule=self.scheduler,
            validate=self.validate if self.has_validation else None,
            state=state,
        )

    def validate(self) -> float | None:
        if self.rng.random() < 0.1:
            raise RuntimeError("no disk")
        return None if self.rng.random() < 0.2 else float(self.loss())

    def loss(self) -> torch.Tensor:
        return sum((w**2).mean() for w in self.weights) + 0.1  # type: ignore[return-value]

    def step(self) -> None:
        is_bad = self.rng.random() < 0.03
        loss = self.loss() * (math.nan if is_bad else 1.0)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        self.run.step(loss if self.has_losses else None)

    def add_group(self) -> None:
        weight = nn.Parameter(torch.randn(2))
        self.weights.append(weight)
        self.optimizer.add_param_group({"params": [weight], "lr": self.rate()})
        self.scheduler_is_of_old_groups()

    def scheduler_is_of_old_groups(self) -> None:
        """Let the loop forget its scheduler: torch's own refuse groups that came later."""
        if self.scheduler is not None:
            self.run.close()
            self.scheduler = None
            self.attach()

    def freeze_weights(self) -> None:
        weight = self.weights[int(self.rng.integers(len(self.weights)))]
        weight.requires_grad_(not weight.requires_grad)
        if not any(w.requires_grad for w in self.weights):
            weight.requires_grad_(True)

    def resume(self) -> None:
        state = self.run.state_dict()
        self.total = max(self.total + int(self.rng.integers(-3, 6)), 1)
        self.attach(state)

    def extend(self) -> None:
        self.run.extend(self.run.plan.total_steps + int(self.rng.integers(0, 9)))
        self.total = self.run.plan.total_steps

    def play(self) -> None:
        acts = [self.add_group, self.freeze_weights, self.resume, self.extend, self.attach]
        for _ in range(self.total + 3):
            if self.rng.random() < 0.15:
                try:
                    acts[int(self.rng.integers(len(acts)))]()
                except HPOControlError:
                    self.attach()  # a run that is refused is begun anew
            self.step()
            self.check()
        self.run.close()
        assert not self.optimizer._optimizer_step_pre_hooks
        assert self.scheduler is None or self.scheduler.optimizer is self.optimizer

    def check(self) -> None:
        """Check what must hold after every step of every loop."""
        run, names = self.run, self.run.policy.space.names
        assert all(math.isfinite(value) for value in run.values.values())
        for name, writer in run.host._groups.items():
            low, high = (float(limit[SPACE.index(name)]) for limit in (SPACE.low, SPACE.high))
            corrections, factor = run._in_force
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


def test_whatever_a_loop_does_the_promises_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    # The search for schedulers of others looks through the whole process.
    monkeypatch.setattr(live_schedule, "_living_schedulers", lambda optimizers: [])
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
