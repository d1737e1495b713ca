"""A small real table for the tests of the integrations."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from hpo_env.datasets import load

Array = NDArray[np.float32]


@lru_cache(maxsize=1)
def rows() -> tuple[Array, NDArray[np.int64], Array, NDArray[np.int64]]:
    """Return training inputs and labels, validation inputs and labels, of breast_cancer."""
    dataset = load("breast_cancer")
    x = np.asarray(dataset.x, dtype=np.float32)
    x = (x - x.mean(0)) / (x.std(0) + 1e-6)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], np.asarray(dataset.y)[order].astype(np.int64)
    return x[:192], y[:192], x[192:320], y[192:320]


def tensors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the same as tensors."""
    x, y, vx, vy = rows()
    return torch.tensor(x), torch.tensor(y), torch.tensor(vx), torch.tensor(vy)


def make_net() -> torch.nn.Sequential:
    """Make a small net with the same weights each time."""
    generator = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(tensors()[0].shape[1], 16), torch.nn.Tanh(), torch.nn.Linear(16, 2)
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return net


def validation_loss(net: torch.nn.Module) -> float:
    """Return the loss on the validation rows."""
    _, _, x, y = tensors()
    with torch.no_grad():
        return torch.nn.functional.cross_entropy(net(x), y).item()
