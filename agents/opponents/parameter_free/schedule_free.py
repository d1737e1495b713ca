"""Schedule-Free AdamW: an average of iterates in the place of a decaying rate."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.opponents.parameter_free.batched import BatchedOptimizer

_LEARNING_RATE = 0.0025
_BETA1, _BETA2 = 0.9, 0.999
_EPSILON = 1e-8


class ScheduleFreeAdamW(BatchedOptimizer):
    """Schedule-Free AdamW with the settings of `schedulefree.AdamWScheduleFree`.

    With `u` the gradient at y over the root of Adam's second moment, and `c = 1 / t`:

        z = z - rate * u
        x = (1 - c) * x + c * z
        y = (1 - beta1) * z + beta1 * x

    `weights` are y, `evaluated` are x. x is not stored: it follows from y and z.

    The rate is the package's default, 0.0025, without warm-up and without weight decay. It is the
    one method here that has a rate at all; nobody tunes it for the task.

    Source: Defazio et al., "The Road Less Scheduled", 2024, https://arxiv.org/abs/2405.15682
    (Algorithm 1).
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__(weights)
        self._z = weights.clone()
        self._squares = torch.zeros_like(weights)
        self._num_updates = 0

    def step(self, gradients: Tensor) -> None:
        """See `BatchedOptimizer.step`."""
        self._num_updates += 1
        share = 1.0 / self._num_updates
        self._squares.mul_(_BETA2).add_(gradients * gradients * (1.0 - _BETA2))
        root = self._squares.div(1.0 - _BETA2**self._num_updates).sqrt_().add_(_EPSILON)
        direction = gradients / root
        y, z = self.weights, self._z
        y.add_((z - y).mul_(share))
        y.sub_(direction * (_LEARNING_RATE * (1.0 - _BETA1 * (1.0 - share))))
        z.sub_(direction.mul_(_LEARNING_RATE))

    @property
    def evaluated(self) -> Tensor:
        """The average x, `[N, P]`."""
        return self.weights + (self.weights - self._z) * (1.0 / _BETA1 - 1.0)

    @property
    def step_size(self) -> Tensor:
        """The rate of z, `[N]`; it stays as it is."""
        return self._per_lane(_LEARNING_RATE)
