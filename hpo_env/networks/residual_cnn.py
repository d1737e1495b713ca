"""Residual convolutional networks with batch normalisation, for images of one shape.

Axes: `N` lanes, `B` minibatch rows, `P` pixels, `C` channels, `K` outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from hpo_env.errors import ConfigurationError
from hpo_env.networks.base import (
    GAINS,
    OUTPUT_GAIN,
    Architecture,
    Dropout,
    ImageShape,
    Modality,
    ModelSplit,
    Parameter,
    apply_linear,
    linear_weights,
)
from hpo_env.networks.batch_norm import BatchNorms, batch_norm_weights
from hpo_env.networks.reference import NORM_EPSILON, Drop, ReferenceModule


@dataclass(frozen=True, kw_only=True)
class ResidualCNN(Architecture):
    """A convolution, blocks of two that are added to what comes in, and the mean of all pixels.

    All convolutions are 3x3 with padding and without bias, and a batch norm follows each.

    Args:
        split: Which tasks use it.
        image_shape: One channel.
        stride: Of the first convolution.
        channels: `C`, after every convolution.
        num_blocks: Blocks.

    Raises:
        ConfigurationError: Images of several channels.
    """

    split: ModelSplit
    image_shape: ImageShape
    stride: int = 1
    channels: int = 16
    num_blocks: int = 1
    modality: ClassVar[Modality] = "images"
    kernel_name: ClassVar[str | None] = "ResidualCNN"

    def __post_init__(self) -> None:
        """Check the number of channels."""
        if self.image_shape[0] != 1:
            raise ConfigurationError(
                f"a ResidualCNN's images must have one channel; got {self.image_shape}"
            )

    @property
    def images(self) -> ImageShape:
        """Images of `image_shape`."""
        return self.image_shape

    @property
    def rows_per_input(self) -> int:
        """Pixels after the first convolution."""
        return math.prod(self._sides())

    def _sides(self) -> tuple[int, int]:
        """Return height and width after the first convolution."""
        _, height, width = self.image_shape
        return (height - 1) // self.stride + 1, (width - 1) // self.stride + 1

    def parameters(self, num_inputs: int, num_outputs: int) -> list[Parameter]:
        """List weight and norm of each convolution (patch elements by channels), and read-out."""
        if num_inputs != math.prod(self.image_shape):
            raise ConfigurationError(
                f"this ResidualCNN needs images of {self.image_shape}; got {num_inputs=}"
            )
        c = self.channels
        listed = [Parameter((9, c), GAINS["relu"]), *batch_norm_weights(c)]
        for _ in range(2 * self.num_blocks):
            listed += [Parameter((9 * c, c), GAINS["relu"]), *batch_norm_weights(c)]
        return [*listed, *linear_weights(c, num_outputs, OUTPUT_GAIN)]

    def apply(self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout) -> Tensor:
        """Compute outputs `[N, B, K]`, normalised by running averages."""
        return self._apply(weights, x, dropout, BatchNorms(None))

    def apply_in_training(
        self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout, is_real: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Compute outputs, normalised by the minibatch, and the new running averages."""
        norms = BatchNorms(is_real)
        return self._apply(weights, x, dropout, norms), norms.averages

    def _apply(
        self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout, norms: BatchNorms
    ) -> Tensor:
        """Compute outputs; dropout is applied to the means of all pixels."""
        n, b, c = x.shape[0], x.shape[1], self.channels
        height, width = self._sides()
        w = iter(weights)
        image = x.reshape(n, b, *self.image_shape[1:], 1)
        h = torch.relu(norms(torch.bmm(patches_of(image, self.stride), next(w)), b, w))
        for _ in range(self.num_blocks):
            z = patches_of(h.reshape(n, b, height, width, c), 1)
            z = torch.relu(norms(torch.bmm(z, next(w)), b, w))
            z = patches_of(z.reshape(n, b, height, width, c), 1)
            h = torch.relu(norms(torch.bmm(z, next(w)), b, w) + h)
        pooled = dropout(h.reshape(n, b, height * width, c).mean(2), 0)
        return apply_linear(pooled, next(w), next(w))

    def reference(self, num_inputs: int, num_outputs: int) -> ReferenceModule:
        """Build the plain module; the number of inputs follows from the images."""
        return ResidualCNNModule(self, num_outputs)

    def kernel_sizes(self) -> tuple[int, ...]:
        """List height, width, stride, channels and blocks."""
        return (*self.image_shape[1:], self.stride, self.channels, self.num_blocks)


def patches_of(h: Tensor, stride: int) -> Tensor:
    """Cut images `[N, B, H, W, C]` into the 3x3 patches of their pixels, `[N, B * P, 9 * C]`."""
    n, _, height, width, c = h.shape
    framed = F.pad(h, (0, 0, 1, 1, 1, 1))
    shifted = [
        framed[:, :, i : i + height : stride, j : j + width : stride]
        for i in range(3)
        for j in range(3)
    ]
    return torch.cat(shifted, -1).reshape(n, -1, 9 * c)


class ResidualCNNModule(ReferenceModule):
    """Twin of `ResidualCNN`."""

    def __init__(self, sizes: ResidualCNN, num_outputs: int) -> None:
        super().__init__()
        self.image_shape = sizes.image_shape
        c = sizes.channels
        strides = [sizes.stride] + [1] * (2 * sizes.num_blocks)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(c if place else 1, c, 3, padding=1, stride=stride, bias=False)
            for place, stride in enumerate(strides)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(c, eps=NORM_EPSILON) for _ in strides)
        self.output = nn.Linear(c, num_outputs)

    def children_in_order(self) -> Iterator[nn.Module]:
        """Yield the layers in the order of the batched model's weights."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            yield from (convolution, norm)
        yield self.output

    def forward(self, x: Tensor, drop: Drop) -> Tensor:
        """Compute outputs `[B, K]`."""
        layers = list(zip(self.convolutions, self.norms, strict=True))
        convolve, normalize = layers[0]
        h = torch.relu(normalize(convolve(x.reshape(-1, *self.image_shape))))
        for (first, norm1), (second, norm2) in zip(layers[1::2], layers[2::2], strict=True):
            z = torch.relu(norm1(first(h)))
            h = torch.relu(norm2(second(z)) + h)
        return self.output(drop(h.mean((2, 3)), 0))  # type: ignore[no-any-return]
