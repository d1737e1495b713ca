"""D-Adaptation for Adam: the rate is a lower bound on the distance to the solution, which grows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from agents.opponents.parameter_free.batched import BatchedOptimizer, row_sum

_BETA1, _BETA2 = 0.9, 0.999
_ROOT_BETA2 = math.sqrt(_BETA2)
_EPSILON = 1e-8
_FIRST_DISTANCE = 1e-6


class DAdaptationAdamW(BatchedOptimizer):
    """D-Adapt Adam with the settings of `dadaptation.DAdaptAdam`: rate 1, no bias correction.

    Without weight decay, the package's default, Adam and AdamW are one. With `d` the bound of a
    lane and `b = sqrt(beta2)`:

        r = b * r + (1 - b) * d * <g, s / (sqrt(v) + epsilon)>
        m = beta1 * m + (1 - beta1) * d * g,   v = beta2 * v + (1 - beta2) * g^2
        s = b * s + (1 - b) * d * g
        d' = max(d, r / ((1 - b) * |s|_1))
        x = x - m / (sqrt(v) + epsilon)

    where r is computed with the s and v of the update before.

    Source: Defazio and Mishchenko, "Learning-Rate-Free Learning by D-Adaptation", 2023,
    https://arxiv.org/abs/2301.07733 (the version for Adam).
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__(weights)
        self._momentum = torch.zeros_like(weights)
        self._squares = torch.zeros_like(weights)
        self._sum = torch.zeros_like(weights)
        self._root = torch.full_like(weights, _EPSILON)
        self._numerator = self._per_lane(0.0)
        self._distance = self._per_lane(_FIRST_DISTANCE)
        self._step_size = self._distance

    def step(self, gradients: Tensor) -> None:
        """See `BatchedOptimizer.step`."""
        d = self._distance
        progress = row_sum((self._sum / self._root).mul_(gradients))
        self._numerator = _ROOT_BETA2 * self._numerator + (1.0 - _ROOT_BETA2) * d * progress
        scaled = gradients * self._beside(d)
        self._momentum.mul_(_BETA1).add_(scaled * (1.0 - _BETA1))
        self._sum.mul_(_ROOT_BETA2).add_(scaled.mul_(1.0 - _ROOT_BETA2))
        self._squares.mul_(_BETA2).add_((gradients * gradients).mul_(1.0 - _BETA2))
        size = (1.0 - _ROOT_BETA2) * row_sum(self._sum.abs())
        estimate = torch.where(size > 0.0, self._numerator / size, 0.0)  # 0 / 0 while g has been 0
        self._distance, self._step_size = torch.maximum(d, estimate), d
        self._root = self._squares.sqrt().add_(_EPSILON)
        self.weights.sub_(self._momentum / self._root)

    @property
    def step_size(self) -> Tensor:
        """The bound that the last gradient was weighted with, `[N]`."""
        return self._step_size
