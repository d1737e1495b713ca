"""Prodigy: Adam whose rate is an estimate of the distance to the solution."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from agents.opponents.parameter_free.batched import BatchedOptimizer, row_sum

_BETA1, _BETA2 = 0.9, 0.999
_BETA3 = math.sqrt(_BETA2)
_EPSILON = 1e-8
_FIRST_DISTANCE = 1e-6


class Prodigy(BatchedOptimizer):
    """Prodigy with the settings of `prodigyopt.Prodigy`: rate 1, no decay, no bias correction.

    With `d` the estimate of a lane and `d0` its first value:

        r = beta3 * r + d^2 / d0 * <g, x0 - x>
        s = beta3 * s + d^2 / d0 * g
        m = beta1 * m + (1 - beta1) * d * g,   v = beta2 * v + (1 - beta2) * d^2 * g^2
        d' = max(d, r / |s|_1)
        x = x - d * m / (sqrt(v) + d' * epsilon)

    Source: Mishchenko and Defazio, "Prodigy: An Expeditiously Adaptive Parameter-Free Learner",
    2023, https://arxiv.org/abs/2306.06101 (the version for Adam).
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__(weights)
        self._start = weights.clone()
        self._momentum = torch.zeros_like(weights)
        self._squares = torch.zeros_like(weights)
        self._sum = torch.zeros_like(weights)
        self._numerator = self._per_lane(0.0)
        self._distance = self._per_lane(_FIRST_DISTANCE)
        self._step_size = self._distance

    def step(self, gradients: Tensor) -> None:
        """See `BatchedOptimizer.step`."""
        d = self._distance
        weight = d / _FIRST_DISTANCE * d
        progress = row_sum(gradients * (self._start - self.weights))
        self._numerator = _BETA3 * self._numerator + weight * progress
        self._sum.mul_(_BETA3).add_(gradients * self._beside(weight))
        scaled = gradients * self._beside(d)
        self._squares.mul_(_BETA2).add_((scaled * scaled).mul_(1.0 - _BETA2))
        self._momentum.mul_(_BETA1).add_(scaled.mul_(1.0 - _BETA1))
        size = row_sum(self._sum.abs())
        estimate = torch.where(size > 0.0, self._numerator / size, 0.0)  # 0 / 0 while g has been 0
        self._distance, self._step_size = torch.maximum(d, estimate), d
        root = self._squares.sqrt().add_(self._beside(self._distance * _EPSILON))
        self.weights.sub_((self._momentum / root).mul_(self._beside(d)))

    @property
    def step_size(self) -> Tensor:
        """The estimate that the last update was made with, `[N]`."""
        return self._step_size
