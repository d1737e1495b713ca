"""DoG: the distance from the start over the root of the squared gradients' sum."""

from __future__ import annotations

import torch
from torch import Tensor

from hpo_env.networks.updaters import State, Updater, beside, per_lane, squared_norm

_FIRST_DISTANCE = 1e-6
_EPSILON = 1e-8
_GAMMA = 8.0


class DoG(Updater):
    """DoG with the settings of `dog.DoG` and, as it asks for, `dog.PolynomialDecayAverager`.

    With `x0` the initial weights of a lane:

        r = max(r, |x - x0|), at first 1e-6 * (1 + |x0|)
        G = G + |g|^2, at first epsilon
        x = x - r / sqrt(G) * g

    Its rate never decays, so its authors call averaging crucial. `evaluated` is the average

        a = (1 - c) * a + c * x,   c = (1 + gamma) / (t + gamma)

    Source: Ivgi et al., "DoG is SGD's Best Friend", 2023, https://arxiv.org/abs/2302.12022; the
    average: Shamir and Zhang, 2013, https://arxiv.org/abs/1212.1824.
    """

    def start(self, weights: Tensor) -> dict[str, Tensor]:
        """See `Updater.start`."""
        return {
            "start": weights.clone(),
            "average": weights.clone(),
            "num_updates": per_lane(weights, 0.0),
            "distance": _FIRST_DISTANCE * (1.0 + squared_norm(weights).sqrt()),
            "squares": per_lane(weights, _EPSILON),
            "rate": per_lane(weights, 0.0),
        }

    def update(self, weights: Tensor, gradients: Tensor, state: State) -> None:
        """See `Updater.update`."""
        t, distance, squares = state["num_updates"], state["distance"], state["squares"]
        t.add_(1.0)
        moved = squared_norm(weights - state["start"]).sqrt()
        torch.maximum(distance, moved, out=distance)
        squares.add_(squared_norm(gradients))
        torch.div(distance, squares.sqrt(), out=state["rate"])
        weights.sub_(gradients * beside(state["rate"], weights))
        share = (1.0 + _GAMMA) / (t + _GAMMA)
        state["average"].mul_(beside(1.0 - share, weights)).add_(weights * beside(share, weights))

    def evaluated(self, weights: Tensor, state: State) -> Tensor:
        """Return the polynomial-decay average, `[N, P]`."""
        return state["average"]

    def learning_rate(self, state: State) -> Tensor:
        """Return the last update's factor of the gradient, `[N]`."""
        return state["rate"]
