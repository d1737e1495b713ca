"""An updater in the place of the lanes' own optimisers.

The step and the kernels stay as they are: an update of SGD at rate 0 without momentum leaves the
weights as they are and the clipped gradient in its memory, where it is read. So a lane sees the
initial weights, the minibatches, the dropout masks, the smoothing and the clipping that it would
see under its own optimiser.

Axes: `N` lanes, `P` parameters of the padded model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.networks.base import Parameter
from hpo_env.networks.updaters import Updater

STILL = "sgd"
"""The optimiser that leaves the weights as they are, at these values."""
STILL_VALUES = {"learning_rate": 0.0, "weight_decay": 0.0, "momentum": 0.0}


class Replacement:
    """An updater of one model's lanes, whose weights are a list of tensors.

    Args:
        updater: The rule.
        parameters: The weights, without the lane axis.

    Attributes:
        memory: Shape, without the lane axis, and type of each tensor that the rule remembers.
    """

    def __init__(self, updater: Updater, parameters: Sequence[Parameter]) -> None:
        self._updater = updater
        self._sizes = [parameter.size for parameter in parameters]
        begun = updater.start(torch.zeros(1, sum(self._sizes)))
        self._names = tuple(begun)
        self.memory = tuple((tuple(t.shape[1:]), t.dtype) for t in begun.values())

    def start(self, weights: Sequence[Tensor]) -> list[Tensor]:
        """Return what the rule remembers of lanes that begin at weights `[N, ...]`."""
        begun = self._updater.start(self.flat(weights))
        return [begun[name] for name in self._names]

    def flat(self, weights: Sequence[Tensor]) -> Tensor:
        """Copy weights, or what is like them, into a row a lane: `[N, P]`."""
        return torch.cat([weight.reshape(len(weight), -1) for weight in weights], 1)

    def update(
        self,
        before: Tensor,
        weights: Sequence[Tensor],
        gradients: Sequence[Tensor],
        memory: Sequence[Tensor],
    ) -> None:
        """Update lanes once, in place.

        Args:
            before: Where the gradients were taken, `[N, P]`; overwritten.
            weights: Each `[N, ...]`; overwritten by the new ones.
            gradients: Clipped, each like its weight.
            memory: What the rule remembers; updated.
        """
        state = dict(zip(self._names, memory, strict=True))
        self._updater.update(before, self.flat(gradients), state)
        for weight, piece in zip(weights, self._pieces(before), strict=True):
            weight.copy_(piece.reshape(weight.shape))

    def evaluated(self, weights: Sequence[Tensor], memory: Sequence[Tensor]) -> list[Tensor]:
        """Return the weights at which lanes are evaluated, each `[N, ...]` and contiguous."""
        state = dict(zip(self._names, memory, strict=True))
        chosen = self._updater.evaluated(self.flat(weights), state)
        pieces = zip(weights, self._pieces(chosen), strict=True)
        return [piece.reshape(weight.shape).contiguous() for weight, piece in pieces]

    def learning_rate(self, memory: Sequence[Tensor]) -> NDArray[np.float64]:
        """Return what stood where a learning rate would, `[N]`."""
        rates = self._updater.learning_rate(dict(zip(self._names, memory, strict=True)))
        return rates.cpu().numpy().astype(np.float64)

    def _pieces(self, flat: Tensor) -> tuple[Tensor, ...]:
        return torch.split(flat, self._sizes, 1)
