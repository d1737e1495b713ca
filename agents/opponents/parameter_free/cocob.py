"""COCOB: every parameter is a gambler that bets a share of what its gradients have paid."""

from __future__ import annotations

import torch
from torch import Tensor

from hpo_env.networks.updaters import State, Updater, per_lane

_ALPHA = 100.0
_EPSILON = 1e-8


class COCOB(Updater):
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

    def start(self, weights: Tensor) -> dict[str, Tensor]:
        """See `Updater.start`."""
        return {
            "start": weights.clone(),
            "scale": torch.full_like(weights, _EPSILON),
            "sum": torch.zeros_like(weights),
            "total": torch.zeros_like(weights),
            "reward": torch.zeros_like(weights),
        }

    def update(self, weights: Tensor, gradients: Tensor, state: State) -> None:
        """See `Updater.update`."""
        scale, total, reward = state["scale"], state["total"], state["reward"]
        size = gradients.abs()
        torch.maximum(scale, size, out=scale)
        state["sum"].sub_(gradients)
        total.add_(size)
        moved = (weights - state["start"]).mul_(gradients)
        reward.sub_(moved).clamp_(min=0.0)
        least = torch.maximum(total + scale, scale * _ALPHA).mul_(scale)
        bet = (reward + scale).mul_(state["sum"]).div_(least)
        torch.add(state["start"], bet, out=weights)

    def learning_rate(self, state: State) -> Tensor:
        """Return NaN `[N]`: every parameter has a step of its own."""
        return per_lane(state["start"], float("nan"))
