"""What a batched optimiser is: N independent optimisers as operations on whole tensors.

A lane's weights are one row, so a norm over all parameters of a lane is a sum over a row, and the
code of an optimiser reads as its paper. Only operations that are rounded once are used (no `lerp`,
no `alpha=`): those that fuse a product and a sum round differently in vectors and in their
remainders, and a lane would depend on its place.

Axes: `N` lanes, `P` parameters of a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class BatchedOptimizer(ABC):
    """Minimises N functions at once; lane `i` is a function of the gradients of lane `i` alone.

    Args:
        weights: Initial weights `[N, P]`; not mutated.

    Attributes:
        weights: Where the next gradients are to be taken, `[N, P]`.
    """

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights.clone()

    @abstractmethod
    def step(self, gradients: Tensor) -> None:
        """Update all lanes once, by their gradients `[N, P]`, which are left as they are."""

    @property
    def evaluated(self) -> Tensor:
        """The weights that the method returns, `[N, P]`: an average of iterates in some."""
        return self.weights

    @property
    @abstractmethod
    def step_size(self) -> Tensor:
        """The factor that stands where a learning rate would, in the last update, float64 `[N]`.

        NaN where there is no such number.
        """

    def _per_lane(self, value: float) -> Tensor:
        """Return a float64 number for each lane, `[N]`."""
        return torch.full((len(self.weights),), value, dtype=torch.float64, device=self.device)

    def _beside(self, per_lane: Tensor) -> Tensor:
        """Turn numbers `[N]` into a column `[N, 1]` of the weights' type."""
        return per_lane.to(self.weights.dtype)[:, None]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.weights.device


def squared_norm(x: Tensor) -> Tensor:
    """Sum the squares of each row: `[N, P]` -> float64 `[N]`."""
    return row_sum(x * x)


def row_sum(x: Tensor) -> Tensor:
    """Sum each row: `[N, P]` -> float64 `[N]`.

    Threads share out the rows, but the numbers of a row that is the only one: its sum would be
    rounded otherwise than in company. So no row is summed alone.
    """
    rows = torch.cat([x, x]) if len(x) == 1 else x
    return rows.sum(1).double()[: len(x)]
