"""Loops in every precision that weights may have, at rates that are borne and at others."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from hpo_env.control.first_step import relative_step
from hpo_env.controller import Controller, ControllerWarning
from hpo_env.testing.policies import steady_policy

PRECISIONS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
OPTIMISERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}


def _weight(dtype: torch.dtype) -> nn.Parameter:
    torch.manual_seed(0)
    weight = nn.Parameter((0.25 * torch.randn(8, 8)).to(dtype))
    weight.grad = torch.randn(8, 8).to(dtype)
    return weight


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_the_relative_step_does_not_depend_on_the_precision(kind: str) -> None:
    steps = [
        relative_step([OPTIMISERS[kind]([_weight(dtype)], lr=0.01)], loss_scale=1.0)
        for dtype in PRECISIONS
    ]
    assert None not in steps
    assert steps == pytest.approx([steps[1]] * len(steps), rel=0.01)
    assert steps[0] == pytest.approx(steps[1], rel=1e-6)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("kind", OPTIMISERS)
@pytest.mark.parametrize("rate", [1e-4, 100.0])
def test_a_loop_of_any_precision_is_steered(dtype: torch.dtype, kind: str, rate: float) -> None:
    policy = steady_policy("supervised", ("learning_rate",), level=0.1)
    weight = _weight(dtype)
    optimizer: Any = OPTIMISERS[kind]([weight], lr=rate)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ControllerWarning)
        run = Controller(policy).attach(optimizer, total_steps=4, num_decisions=2)
        for _ in range(4):
            loss = weight.square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.step(loss)
    wrecks = [str(one.message) for one in said if "would wreck the weights" in str(one.message)]
    assert len(wrecks) == bool(run.replaced)
    assert kind == "sgd" or bool(run.replaced) == (rate > 1.0)
    assert math.isfinite(run.values["learning_rate"])
    run.close()
