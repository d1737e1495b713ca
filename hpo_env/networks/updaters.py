"""What may stand in the place of a task's own optimiser: an update rule of N lanes at once.

A lane's weights are one row, so a norm over all parameters of a lane is a sum over a row, and the
code of a rule reads as its paper. A rule itself has no state: what it remembers of a lane are
tensors that whoever trains keeps beside the weights, copies and puts back. So lanes may start,
leave and be copied one by one.

Only operations that are rounded once should be used (no `lerp`, no `alpha=`): those that fuse a
product and a sum round differently in vectors and in their remainders, and a lane would depend on
its place.

Axes: `N` lanes, `P` parameters of a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

State = Mapping[str, Tensor]
"""What a rule remembers of lanes, by name: each `[N, P]` or, float64, `[N]`."""


class Updater(ABC):
    """Minimises N functions at once; lane `i` is a function of the gradients of lane `i` alone."""

    @abstractmethod
    def start(self, weights: Tensor) -> dict[str, Tensor]:
        """Return the state before the first update, at initial weights `[N, P]`.

        Names, shapes and types are always the same; no tensor shares memory with the weights.
        """

    @abstractmethod
    def update(self, weights: Tensor, gradients: Tensor, state: State) -> None:
        """Update all lanes once, weights and state in place.

        Args:
            weights: Where the gradients were taken, `[N, P]`; afterwards, where the next are to be.
            gradients: `[N, P]`, after clipping; left as they are.
            state: As `start` made it.
        """

    def evaluated(self, weights: Tensor, state: State) -> Tensor:
        """Return the weights that are the result, `[N, P]`: an average of iterates in some."""
        return weights

    @abstractmethod
    def learning_rate(self, state: State) -> Tensor:
        """Return what stood where a learning rate would, in the last update, float64 `[N]`.

        NaN where there is no such number.
        """


def per_lane(weights: Tensor, value: float) -> Tensor:
    """Return a float64 number for each lane of weights `[N, P]`, `[N]`."""
    return torch.full((len(weights),), value, dtype=torch.float64, device=weights.device)


def beside(numbers: Tensor, weights: Tensor) -> Tensor:
    """Turn a number a lane `[N]` into a column `[N, 1]` of the weights' type."""
    return numbers.to(weights.dtype)[:, None]


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
