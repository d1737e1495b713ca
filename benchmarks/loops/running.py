"""One run: a workload, trained with one optimiser, its rate set by one opponent."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from benchmarks.loops.opponents import OPPONENTS, OPTIMIZERS, Opponent, loaded
from benchmarks.loops.workloads import WORKLOADS, Training
from hpo_env.errors import ControllerWarning

Optimizer = torch.optim.Optimizer


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is run.

    Args:
        workload: A key of `WORKLOADS`.
        opponent: A key of `OPPONENTS`, or the folder of a policy.
        optimizer: A key of `OPTIMIZERS`.
        rate: The highest of a schedule, the first of a controller.
        seed: Of weights, rows and minibatches.
        scale: Factor on the workload's number of updates.
    """

    workload: str
    opponent: str
    optimizer: str
    rate: float
    seed: int
    scale: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out.

    Args:
        test: Test loss at the end; infinite where the training diverged.
        validation: Validation loss at the end.
        untrained: Test loss at the start.
        seconds: The whole run's, building aside.
    """

    test: float
    validation: float
    untrained: float
    seconds: float


def train(setting: Setting) -> Outcome:
    """Train once and measure; deterministic but for the seconds."""
    workload = WORKLOADS[setting.workload]
    training = workload.build(setting.seed)
    steps = max(int(workload.steps * setting.scale), 1)
    opponent = OPPONENTS.get(setting.opponent) or Opponent(policy=setting.opponent)
    untrained = training.measure("test")
    start = time.perf_counter()
    optimizers = _optimizers(training, opponent, setting)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ControllerWarning)
        run = _attached(training, opponent, optimizers, steps)
        _loop(training, opponent, optimizers, run, steps, setting)
        if opponent.is_schedule_free:
            optimizers[0].eval()  # type: ignore[attr-defined]
    return Outcome(
        test=_finite(training, "test"),
        validation=_finite(training, "validation"),
        untrained=untrained,
        seconds=time.perf_counter() - start,
    )


def _optimizers(training: Training, opponent: Opponent, setting: Setting) -> list[Optimizer]:
    weights: list[Tensor] = [p for p in training.model.parameters() if p.requires_grad]
    build = opponent.optimizers or OPTIMIZERS[setting.optimizer]
    return build(weights, setting.rate)


def _attached(
    training: Training, opponent: Opponent, optimizers: list[Optimizer], steps: int
) -> Any:
    """Attach the controller; None where there is none."""
    if opponent.policy is None:
        return None
    return loaded(opponent.policy).attach(
        optimizers,
        total_steps=steps if opponent.cools_for is None else None,
        model=training.model,
        validate=lambda: training.measure("validation"),
        **opponent.options,
    )


def _loop(
    training: Training,
    opponent: Opponent,
    optimizers: list[Optimizer],
    run: Any,
    steps: int,
    setting: Setting,
) -> None:
    generator = torch.Generator().manual_seed(setting.seed)
    if opponent.is_schedule_free:
        optimizers[0].train()  # type: ignore[attr-defined]
    cools_for = opponent.cools_for
    follow = None if opponent.follows is None else opponent.follows(optimizers)
    cools_at = -1 if cools_for is None else round(steps * (1.0 - cools_for))
    for step in range(steps):
        if opponent.rule is not None:
            rate = setting.rate * opponent.rule(step / steps)
            for group in (g for o in optimizers for g in o.param_groups):
                group["lr"] = rate
        loss = training.minibatch_loss(generator)
        training.model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
        if follow is not None:
            follow(float(loss.detach()))
        if run is not None:
            run.step(loss)
            if step + 1 == cools_at:
                run.cool_down(steps - cools_at)


def _finite(training: Training, part: Literal["validation", "test"]) -> float:
    loss = training.measure(part)
    return loss if math.isfinite(loss) else math.inf
