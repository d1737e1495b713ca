"""D-Adaptation for Adam: the rate is a lower bound on the distance to the solution, which grows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hpo_env.networks.updaters import State, Updater, beside, per_lane, row_sum

_BETA1, _BETA2 = 0.9, 0.999
_ROOT_BETA2 = math.sqrt(_BETA2)
_EPSILON = 1e-8
_FIRST_DISTANCE = 1e-6


class DAdaptationAdamW(Updater):
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

    def start(self, weights: Tensor) -> dict[str, Tensor]:
        """See `Updater.start`."""
        return {
            "momentum": torch.zeros_like(weights),
            "squares": torch.zeros_like(weights),
            "sum": torch.zeros_like(weights),
            "root": torch.full_like(weights, _EPSILON),
            "numerator": per_lane(weights, 0.0),
            "distance": per_lane(weights, _FIRST_DISTANCE),
            "used": per_lane(weights, _FIRST_DISTANCE),
        }

    def update(self, weights: Tensor, gradients: Tensor, state: State) -> None:
        """See `Updater.update`."""
        momentum, squares, total = state["momentum"], state["squares"], state["sum"]
        d = state["distance"].clone()
        progress = row_sum((total / state["root"]).mul_(gradients))
        numerator = _ROOT_BETA2 * state["numerator"] + (1.0 - _ROOT_BETA2) * d * progress
        scaled = gradients * beside(d, weights)
        momentum.mul_(_BETA1).add_(scaled * (1.0 - _BETA1))
        total.mul_(_ROOT_BETA2).add_(scaled.mul_(1.0 - _ROOT_BETA2))
        squares.mul_(_BETA2).add_((gradients * gradients).mul_(1.0 - _BETA2))
        size = (1.0 - _ROOT_BETA2) * row_sum(total.abs())
        estimate = torch.where(size > 0.0, numerator / size, 0.0)  # 0 / 0 while g has been 0
        state["numerator"].copy_(numerator)
        state["distance"].copy_(torch.maximum(d, estimate))
        state["used"].copy_(d)
        torch.sqrt(squares, out=state["root"]).add_(_EPSILON)
        weights.sub_(momentum / state["root"])

    def learning_rate(self, state: State) -> Tensor:
        """Return the bound that the last gradient was weighted with, `[N]`."""
        return state["used"]
