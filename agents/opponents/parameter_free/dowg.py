"""DoWG: as DoG, with gradients weighted by the distance at which they were met."""

from __future__ import annotations

import torch
from torch import Tensor

from hpo_env.networks.updaters import State, Updater, beside, per_lane, squared_norm

_EPSILON = 1e-4


class DoWG(Updater):
    """DoWG with the settings of its authors' package `dowgopt`.

    With `x0` the initial weights of a lane:

        r2 = max(r2, |x - x0|^2), at first epsilon
        v = v + r2 * |g|^2
        x = x - r2 / (sqrt(v) + epsilon) * g

    The paper's bound is for an average of the iterates; the package returns the last, and so does
    this.

    Source: Khaled et al., "DoWG Unleashed", 2023, https://arxiv.org/abs/2305.16284 (Algorithm 1).
    """

    def start(self, weights: Tensor) -> dict[str, Tensor]:
        """See `Updater.start`."""
        return {
            "start": weights.clone(),
            "squared_distance": per_lane(weights, _EPSILON),
            "weighted_squares": per_lane(weights, 0.0),
            "rate": per_lane(weights, 0.0),
        }

    def update(self, weights: Tensor, gradients: Tensor, state: State) -> None:
        """See `Updater.update`."""
        distance, weighted = state["squared_distance"], state["weighted_squares"]
        moved = squared_norm(weights - state["start"])
        torch.maximum(distance, moved, out=distance)
        weighted.add_(distance * squared_norm(gradients))
        torch.div(distance, weighted.sqrt() + _EPSILON, out=state["rate"])
        weights.sub_(gradients * beside(state["rate"], weights))

    def learning_rate(self, state: State) -> Tensor:
        """Return the last update's factor of the gradient, `[N]`."""
        return state["rate"]
