"""Batched optimisers equal torch.optim's, lane by lane, while their settings change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hpo_env.errors import UnknownNameError
from hpo_env.networks.optimizers import (
    COEFFICIENTS,
    OPTIMIZERS,
    coefficients,
    optimizer_info,
    update,
)

SHAPES = [(4, 3), (1, 3)]
LR = np.array([1e-2, 3e-3])
DECAY = np.array([1e-1, 1e-3])
MOMENTUM = np.array([0.9, 0.3])


def run_batched(names: list[str], gradients: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    """Apply gradients `[N, ...]`; the rate halves after ten updates."""
    n = len(names)
    weights = [torch.ones(n, *shape) for shape in SHAPES]
    momenta, squares = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    for step, gradient in enumerate(gradients):
        values = coefficients(
            names,
            learning_rate=LR[:n] * (0.5 if step >= 10 else 1.0),
            weight_decay=DECAY[:n],
            momentum=MOMENTUM[:n],
            updates=np.full((1, n), step + 1),
        )
        columns = torch.from_numpy(values[0].astype(np.float32)).unbind(1)
        settings = dict(zip(COEFFICIENTS, columns, strict=True))
        update(weights, momenta, squares, gradient, torch.ones(n), settings)
    return weights


def run_torch(name: str, lane: int, gradients: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    info = OPTIMIZERS[name]
    weights = [torch.nn.Parameter(torch.ones(shape)) for shape in SHAPES]
    optimizer = info.torch_class(
        weights, **info.settings(float(LR[lane]), float(DECAY[lane]), float(MOMENTUM[lane]))
    )
    for step, gradient in enumerate(gradients):
        rate = float(LR[lane]) * (0.5 if step >= 10 else 1.0)
        optimizer.param_groups[0]["lr"] = rate
        for weight, g in zip(weights, gradient, strict=True):
            weight.grad = g[lane].clone()
        optimizer.step()
    return [w.detach() for w in weights]


def random_gradients(n: int) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [[torch.randn(n, *s, generator=generator) for s in SHAPES] for _ in range(30)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_thirty_updates_equal_the_torch_class(name: str) -> None:
    gradients = random_gradients(2)
    batched = run_batched([name, name], gradients)
    for lane in range(2):
        for ours, theirs in zip(batched, run_torch(name, lane, gradients), strict=True):
            torch.testing.assert_close(ours[lane], theirs, atol=2e-6, rtol=2e-6)


def test_lanes_under_different_optimizers_do_not_disturb_each_other() -> None:
    gradients = random_gradients(2)
    mixed = run_batched(["sgd", "rmsprop"], gradients)
    for lane, name in enumerate(["sgd", "rmsprop"]):
        alone = run_batched([name, name], gradients)
        assert all(torch.equal(m[lane], a[lane]) for m, a in zip(mixed, alone, strict=True))


def test_the_first_step_of_adamw_moves_by_the_rate_against_the_gradients_sign() -> None:
    gradient = [torch.full((1, *shape), 7.0) for shape in SHAPES]
    weights = run_batched(["adamw"], [gradient])
    assert weights[0][0, 0, 0].item() == pytest.approx((1 - 1e-2 * 1e-1) - 1e-2, rel=1e-6)


def test_an_unknown_optimizer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'adamw'"):
        optimizer_info("adam")
