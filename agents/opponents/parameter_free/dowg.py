"""DoWG: as DoG, with gradients weighted by the distance at which they were met."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.opponents.parameter_free.batched import BatchedOptimizer, squared_norm

_EPSILON = 1e-4


class DoWG(BatchedOptimizer):
    """DoWG with the settings of its authors' package `dowgopt`.

    With `x0` the initial weights of a lane:

        r2 = max(r2, |x - x0|^2), at first epsilon
        v = v + r2 * |g|^2
        x = x - r2 / (sqrt(v) + epsilon) * g

    The paper's bound is for an average of the iterates; the package returns the last, and so does
    this.

    Source: Khaled et al., "DoWG Unleashed", 2023, https://arxiv.org/abs/2305.16284 (Algorithm 1).
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__(weights)
        self._start = weights.clone()
        self._squared_distance = self._per_lane(_EPSILON)
        self._weighted_squares = self._per_lane(0.0)
        self._step_size = self._per_lane(0.0)

    def step(self, gradients: Tensor) -> None:
        """See `BatchedOptimizer.step`."""
        moved = squared_norm(self.weights - self._start)
        self._squared_distance = torch.maximum(self._squared_distance, moved)
        weighted = self._squared_distance * squared_norm(gradients)
        self._weighted_squares = self._weighted_squares + weighted
        self._step_size = self._squared_distance / (self._weighted_squares.sqrt() + _EPSILON)
        self.weights.sub_(gradients * self._beside(self._step_size))

    @property
    def step_size(self) -> Tensor:
        """The last update's factor of the gradient, `[N]`."""
        return self._step_size
