"""Batch normalisation of N lanes at once, with running averages that are weights without gradients.

Axes: `N` lanes, `B` minibatch rows, `P` pixels, `C` channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hpo_env.networks.base import Parameter
from hpo_env.networks.reference import NORM_EPSILON

AVERAGE_STEP = 0.1
"""How far running averages come at each update; torch calls it momentum."""


def batch_norm_weights(channels: int) -> list[Parameter]:
    """List scale and shift of a batch norm, and the running averages of mean and variance."""
    return [
        Parameter((1, channels), fill=1.0),
        Parameter((1, channels)),
        Parameter((1, channels), is_average=True),
        Parameter((1, channels), fill=1.0, is_average=True),
    ]


class BatchNorms:
    """The batch norms of one pass through a network.

    Args:
        is_real: Which rows are of the minibatch, bool `[N, B]`; None to normalise by the running
            averages.

    Attributes:
        averages: The new running averages, in the order of the weights.
    """

    def __init__(self, is_real: Tensor | None) -> None:
        self._is_real = is_real
        self.averages: list[Tensor] = []

    def __call__(self, z: Tensor, num_rows: int, weights: Iterator[Tensor]) -> Tensor:
        """Normalise channels.

        Args:
            z: `[N, B * P, C]`.
            num_rows: `B`.
            weights: The next are those of this norm, each `[N, 1, C]`; they are taken.
        """
        scale, shift, mean, variance = (next(weights) for _ in range(4))
        if self._is_real is not None:
            pixels = z.shape[1] // num_rows
            mean, variance = self._measured(z, pixels, mean, variance)
        return (z - mean) * torch.rsqrt(variance + NORM_EPSILON) * scale + shift

    def _measured(
        self, z: Tensor, pixels: int, average_mean: Tensor, average_variance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Measure mean and variance of the real rows, and note what averages become."""
        assert self._is_real is not None
        is_real = self._is_real.repeat_interleave(pixels, 1)[:, :, None]
        count = is_real.sum(1, keepdim=True)
        mean = torch.where(is_real, z, 0.0).sum(1, keepdim=True) / count
        centred = torch.where(is_real, z - mean, 0.0)
        squares = (centred * centred).sum(1, keepdim=True)
        kept = 1.0 - AVERAGE_STEP
        self.averages += [
            (kept * average_mean + AVERAGE_STEP * mean).detach(),
            (kept * average_variance + AVERAGE_STEP * (squares / (count - 1))).detach(),
        ]
        return mean, squares / count
