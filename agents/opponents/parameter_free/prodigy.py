"""Prodigy: Adam whose rate is an estimate of the distance to the solution."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hpo_env.networks.updaters import State, Updater, beside, per_lane, row_sum

_BETA1, _BETA2 = 0.9, 0.999
_BETA3 = math.sqrt(_BETA2)
_EPSILON = 1e-8
_FIRST_DISTANCE = 1e-6


class Prodigy(Updater):
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

    def start(self, weights: Tensor) -> dict[str, Tensor]:
        """See `Updater.start`."""
        return {
            "start": weights.clone(),
            "momentum": torch.zeros_like(weights),
            "squares": torch.zeros_like(weights),
            "sum": torch.zeros_like(weights),
            "numerator": per_lane(weights, 0.0),
            "distance": per_lane(weights, _FIRST_DISTANCE),
            "used": per_lane(weights, _FIRST_DISTANCE),
        }

    def update(self, weights: Tensor, gradients: Tensor, state: State) -> None:
        """See `Updater.update`."""
        momentum, squares, total = state["momentum"], state["squares"], state["sum"]
        d = state["distance"].clone()
        weight = d / _FIRST_DISTANCE * d
        progress = row_sum(gradients * (state["start"] - weights))
        numerator = _BETA3 * state["numerator"] + weight * progress
        total.mul_(_BETA3).add_(gradients * beside(weight, weights))
        scaled = gradients * beside(d, weights)
        squares.mul_(_BETA2).add_((scaled * scaled).mul_(1.0 - _BETA2))
        momentum.mul_(_BETA1).add_(scaled.mul_(1.0 - _BETA1))
        size = row_sum(total.abs())
        estimate = torch.where(size > 0.0, numerator / size, 0.0)  # 0 / 0 while g has been 0
        state["numerator"].copy_(numerator)
        state["distance"].copy_(torch.maximum(d, estimate))
        state["used"].copy_(d)
        root = squares.sqrt().add_(beside(state["distance"] * _EPSILON, weights))
        weights.sub_((momentum / root).mul_(beside(d, weights)))

    def learning_rate(self, state: State) -> Tensor:
        """Return the estimate that the last update was made with, `[N]`."""
        return state["used"]
