"""COCOB: every parameter is a gambler that bets a share of what its gradients have paid."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.opponents.parameter_free.batched import BatchedOptimizer

_ALPHA = 100.0
_EPSILON = 1e-8


class COCOB(BatchedOptimizer):
    """COCOB-Backprop with the settings of its author's `parameterfree.COCOB`.

    For every parameter on its own, with `x0` its initial value:

        L = max(L, |g|), at first epsilon
        theta = theta - g
        A = A + |g|
        reward = max(reward - g * (x - x0), 0)
        x = x0 + (L + reward) * theta / (L * max(A + L, alpha * L))

    Source: Orabona and Tommasi, "Training Deep Networks without Learning Rates Through Coin
    Betting", 2017, https://arxiv.org/abs/1705.07795 (Algorithm 2).
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__(weights)
        self._start = weights.clone()
        self._scale = torch.full_like(weights, _EPSILON)
        self._sum = torch.zeros_like(weights)
        self._total = torch.zeros_like(weights)
        self._reward = torch.zeros_like(weights)

    def step(self, gradients: Tensor) -> None:
        """See `BatchedOptimizer.step`."""
        size = gradients.abs()
        torch.maximum(self._scale, size, out=self._scale)
        self._sum.sub_(gradients)
        self._total.add_(size)
        moved = (self.weights - self._start).mul_(gradients)
        self._reward.sub_(moved).clamp_(min=0.0)
        least = torch.maximum(self._total + self._scale, self._scale * _ALPHA).mul_(self._scale)
        bet = (self._reward + self._scale).mul_(self._sum).div_(least)
        torch.add(self._start, bet, out=self.weights)

    @property
    def step_size(self) -> Tensor:
        """NaN `[N]`: every parameter has a step of its own."""
        return self._per_lane(float("nan"))
