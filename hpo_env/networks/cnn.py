"""Convolutional networks, for images of one shape.

Axes: `N` lanes, `B` minibatch rows, `K` outputs.
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
    ModelSplit,
    Parameter,
    apply_linear,
    linear_weights,
)
from hpo_env.networks.reference import Drop, ReferenceModule


@dataclass(frozen=True, kw_only=True)
class CNN(Architecture):
    """Two convolutions and a linear read-out, for images of one shape.

    The first convolution is 3x3 with padding, written as the product of its patches (im2col); the
    second is 2x2 with stride 2, whose patches are a mere reshape.

    Args:
        split: Which tasks use it.
        image_shape: One channel; the first convolution's height and width must be even.
        stride: Of the first convolution.
        channels: Channels after the first and the second convolution.

    Raises:
        ConfigurationError: The image shape does not fit.
    """

    split: ModelSplit
    image_shape: ImageShape
    stride: int = 1
    channels: tuple[int, int] = (8, 16)
    kernel_name: ClassVar[str | None] = "CNN"

    def __post_init__(self) -> None:
        """Check that patches cover the image."""
        if self.image_shape[0] != 1 or any(side % 2 for side in self._first_sides()):
            raise ConfigurationError(
                "a CNN's images must have one channel, and its first convolution even sides; got "
                f"image_shape={self.image_shape}, stride={self.stride}"
            )

    @property
    def images(self) -> ImageShape:
        """Images of `image_shape`."""
        return self.image_shape

    @property
    def rows_per_input(self) -> int:
        """Pixels of the first convolution."""
        return math.prod(self._first_sides())

    def _first_sides(self) -> tuple[int, int]:
        """Return height and width after the first convolution."""
        _, height, width = self.image_shape
        return (height - 1) // self.stride + 1, (width - 1) // self.stride + 1

    def parameters(self, num_inputs: int, num_outputs: int) -> list[Parameter]:
        """List both convolutions (patch elements by channels) and the read-out."""
        if num_inputs != math.prod(self.image_shape):
            raise ConfigurationError(
                f"this CNN needs images of {self.image_shape}; got {num_inputs=}"
            )
        first, second = self.channels
        return [
            *linear_weights(9, first, GAINS["relu"]),
            *linear_weights(4 * first, second, GAINS["relu"]),
            *linear_weights(self.rows_per_input // 4 * second, num_outputs, OUTPUT_GAIN),
        ]

    def apply(self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout) -> Tensor:
        """Compute outputs `[N, B, K]`; dropout follows both activations."""
        n, b, (first, second) = x.shape[0], x.shape[1], self.channels
        (height, width), s = self._first_sides(), self.stride
        w = iter(weights)
        framed = F.pad(x.reshape(n, b, *self.image_shape[1:]), (1, 1, 1, 1))
        last_i, last_j = s * (height - 1) + 1, s * (width - 1) + 1
        shifted = [
            framed[:, :, i : i + last_i : s, j : j + last_j : s] for i in range(3) for j in range(3)
        ]
        patches = torch.stack(shifted, -1).reshape(n, b * height * width, 9)
        h = torch.relu(apply_linear(patches, next(w), next(w)))  # [N, B * pixels, first]
        h = dropout(h.reshape(n, b, height * width * first), 0)
        h = h.reshape(n, b, height // 2, 2, width // 2, 2, first)
        patches = h.transpose(3, 4).reshape(n, b * height * width // 4, 4 * first)
        h = torch.relu(apply_linear(patches, next(w), next(w)))  # [N, B * pixels / 4, second]
        h = dropout(h.reshape(n, b, height * width // 4 * second), 1)
        return apply_linear(h, next(w), next(w))

    def reference(self, num_inputs: int, num_outputs: int) -> ReferenceModule:
        """Build the plain module; the number of inputs follows from the images."""
        return CNNModule(self, num_outputs)

    def kernel_sizes(self) -> tuple[int, ...]:
        """List height, width, stride and both numbers of channels."""
        return (*self.image_shape[1:], self.stride, *self.channels)


class CNNModule(ReferenceModule):
    """Twin of `CNN`."""

    def __init__(self, sizes: CNN, num_outputs: int) -> None:
        super().__init__()
        first, second = sizes.channels
        self.image_shape = sizes.image_shape
        self.conv1 = nn.Conv2d(1, first, kernel_size=3, padding=1, stride=sizes.stride)
        self.conv2 = nn.Conv2d(first, second, kernel_size=2, stride=2)
        self.output = nn.Linear(sizes.rows_per_input // 4 * second, num_outputs)

    def children_in_order(self) -> Iterator[nn.Module]:
        """Yield the layers in the order of the batched model's weights."""
        yield from (self.conv1, self.conv2, self.output)

    def forward(self, x: Tensor, drop: Drop) -> Tensor:
        """Compute outputs `[B, K]`; layers are dropped and read out with channels last."""
        h = torch.relu(self.conv1(x.reshape(-1, *self.image_shape))).permute(0, 2, 3, 1)
        h = drop(h.flatten(1), 0).reshape(h.shape).permute(0, 3, 1, 2)
        h = torch.relu(self.conv2(h)).permute(0, 2, 3, 1)
        return self.output(drop(h.flatten(1), 1))  # type: ignore[no-any-return]
