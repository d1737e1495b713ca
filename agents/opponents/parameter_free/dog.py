"""DoG: the distance from the start over the root of the squared gradients' sum."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.opponents.parameter_free.batched import BatchedOptimizer, squared_norm

_FIRST_DISTANCE = 1e-6
_EPSILON = 1e-8
_GAMMA = 8.0


class DoG(BatchedOptimizer):
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

    def __init__(self, weights: Tensor) -> None:
        super().__init__(weights)
        self._start = weights.clone()
        self._average = weights.clone()
        self._num_updates = 0
        self._distance = _FIRST_DISTANCE * (1.0 + squared_norm(weights).sqrt())
        self._squares = self._per_lane(_EPSILON)
        self._step_size = self._per_lane(0.0)

    def step(self, gradients: Tensor) -> None:
        """See `BatchedOptimizer.step`."""
        self._num_updates += 1
        moved = squared_norm(self.weights - self._start).sqrt()
        self._distance = torch.maximum(self._distance, moved)
        self._squares = self._squares + squared_norm(gradients)
        self._step_size = self._distance / self._squares.sqrt()
        self.weights.sub_(gradients * self._beside(self._step_size))
        share = (1.0 + _GAMMA) / (self._num_updates + _GAMMA)
        self._average.mul_(1.0 - share).add_(self.weights * share)

    @property
    def evaluated(self) -> Tensor:
        """The polynomial-decay average, `[N, P]`."""
        return self._average

    @property
    def step_size(self) -> Tensor:
        """The last update's factor of the gradient, `[N]`."""
        return self._step_size
