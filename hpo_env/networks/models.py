"""Inner networks, written for N lanes at once.

A model is a list of weights, each `[N, ...]`, and a function that applies them. Weights multiply
with `torch.bmm`: on a CPU that is several times faster than `vmap`, which it replaces here.

Padding is exact. Data sets of several widths share a model with `D` inputs and `K` outputs; the
weights of inputs and outputs that a task does not have start at 0, get no gradient and stay 0, so
that a padded lane equals the model of its own size. `tasks/supervised/reference_models.py` holds
the same networks as plain modules, of their own size.

Adding an architecture costs one entry in `ARCHITECTURES` (and a module beside the others in
`tasks/supervised/reference_models.py` if it is of a new kind).

Axes: `N` lanes, `B` minibatch rows, `D` inputs, `K` outputs, `W` width of a layer.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.seeding import stream

ModelSplit = Literal["train", "validation", "test"]
Dropout = Callable[[Tensor, int], Tensor]
"""Drops elements of a layer `[N, B, W]`; the integer numbers the model's dropout layers."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "silu": F.silu,
}
_GAINS = {"relu": math.sqrt(2.0), "tanh": 1.0, "gelu": math.sqrt(2.0), "silu": math.sqrt(2.0)}
_OUTPUT_GAIN = 1.0 / math.sqrt(3.0)  # the variance of torch.nn.Linear's default
NORM_EPSILON = 1e-5
ImageShape = tuple[int, int, int]
"""`(channels, height, width)`."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One weight of a model, without the lane axis.

    Args:
        shape: Its shape.
        gain: Weights are drawn uniformly with standard deviation `gain / sqrt(fan_in)`, fan_in
            being the first axis but one from the end; 0 leaves `fill`.
        fill: Constant where nothing is drawn.
    """

    shape: tuple[int, ...]
    gain: float = 0.0
    fill: float = 0.0

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def _linear(num_inputs: int, num_outputs: int, gain: float) -> list[Parameter]:
    return [Parameter((num_inputs, num_outputs), gain), Parameter((1, num_outputs))]


def _norm(width: int) -> list[Parameter]:
    return [Parameter((1, width), fill=1.0), Parameter((1, width))]


def apply_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply N linear layers: `[N, B, in]`, `[N, in, out]`, `[N, 1, out]` -> `[N, B, out]`."""
    return torch.bmm(x, weight) + bias


def apply_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Apply N layer norms to the last axis: `[N, B, W]`, twice `[N, 1, W]` -> `[N, B, W]`."""
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred * centred).mean(-1, keepdim=True)
    return centred * torch.rsqrt(variance + NORM_EPSILON) * scale + shift


class Architecture(ABC):
    """A kind and size of network, whatever its numbers of inputs and outputs."""

    split: ModelSplit
    images_only: ClassVar[bool] = False

    def fits(self, image_shape: ImageShape | None) -> bool:
        """Say whether it takes images of this shape, or tables if it is None."""
        return not self.images_only

    @property
    def rows_per_input(self) -> int:
        """Tokens or pixels: rows that a layer's weights see for each row of inputs."""
        return 1

    @abstractmethod
    def parameters(self, num_inputs: int, num_outputs: int) -> list[Parameter]:
        """List the weights in the order in which `apply` takes them."""

    @abstractmethod
    def apply(self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout) -> Tensor:
        """Compute outputs `[N, B, K]` from inputs `[N, B, D]`."""


@dataclass(frozen=True, kw_only=True)
class MLP(Architecture):
    """A multilayer perceptron.

    Args:
        split: Which tasks use it.
        width: W of every hidden layer.
        depth: Hidden layers.
        activation: One of `ACTIVATIONS`.
        is_normalized: Whether a layer norm stands before each activation.
        is_residual: Whether every hidden layer but the first adds to its input.
    """

    split: ModelSplit
    width: int
    depth: int
    activation: str = "relu"
    is_normalized: bool = False
    is_residual: bool = False

    def parameters(self, num_inputs: int, num_outputs: int) -> list[Parameter]:
        """List weight, bias (and scale, shift) of each layer."""
        listed = []
        for layer in range(self.depth):
            fan_in = self.width if layer else num_inputs
            listed += _linear(fan_in, self.width, _GAINS[self.activation])
            listed += _norm(self.width) if self.is_normalized else []
        return listed + _linear(self.width, num_outputs, _OUTPUT_GAIN)

    def apply(self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout) -> Tensor:
        """Compute outputs `[N, B, K]`; dropout follows each activation."""
        w = iter(weights)
        h = x
        for layer in range(self.depth):
            z = apply_linear(h, next(w), next(w))
            if self.is_normalized:
                z = apply_norm(z, next(w), next(w))
            z = dropout(ACTIVATIONS[self.activation](z), layer)
            h = h + z if self.is_residual and layer else z
        return apply_linear(h, next(w), next(w))


@dataclass(frozen=True, kw_only=True)
class Attention(Architecture):
    """One pre-norm transformer block over tokens that the inputs are dealt to, then their mean.

    Input `d` goes to token `d % num_tokens`, so that the inputs of a narrow table are spread over
    all tokens, and a token of an 8x8 image is one of its columns. Each token has an embedding of
    its own, whose bias stands in for a position.

    Args:
        split: Which tasks use it.
        num_tokens: Tokens.
        width: W of a token.
        num_heads: Heads; divides `width`.
    """

    split: ModelSplit
    num_tokens: int = 8
    width: int = 32
    num_heads: int = 2

    @property
    def rows_per_input(self) -> int:
        """Tokens."""
        return self.num_tokens

    def parameters(self, num_inputs: int, num_outputs: int) -> list[Parameter]:
        """List embedding, block and read-out."""
        t, w = self.num_tokens, self.width
        per_token = -(-num_inputs // t)
        return [
            Parameter((t, per_token, w), 1.0),
            Parameter((t, 1, w)),
            *_norm(w),
            *_linear(w, 3 * w, 1.0),
            *_linear(w, w, 1.0),
            *_norm(w),
            *_linear(w, 2 * w, _GAINS["gelu"]),
            *_linear(2 * w, w, 1.0),
            *_norm(w),
            *_linear(w, num_outputs, _OUTPUT_GAIN),
        ]

    def apply(self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout) -> Tensor:
        """Compute outputs `[N, B, K]`; dropout ends both branches of the block."""
        n, b, t, w = x.shape[0], x.shape[1], self.num_tokens, self.width
        p = iter(weights)
        h = self._embed(x, next(p), next(p))  # [N, B * t, w]
        z = apply_norm(h, next(p), next(p))
        z = self._attend(apply_linear(z, next(p), next(p)), b)
        z = apply_linear(z, next(p), next(p))
        h = h + dropout(z.reshape(n, b, t * w), 0).reshape(n, b * t, w)
        z = apply_norm(h, next(p), next(p))
        z = apply_linear(F.gelu(apply_linear(z, next(p), next(p))), next(p), next(p))
        h = h + dropout(z.reshape(n, b, t * w), 1).reshape(n, b * t, w)
        h = apply_norm(h, next(p), next(p)).reshape(n, b, t, w).mean(2)
        return apply_linear(h, next(p), next(p))

    def _embed(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        n, b, t, w = x.shape[0], x.shape[1], self.num_tokens, self.width
        dealt = x.reshape(n, b, -1, t).permute(0, 3, 1, 2).reshape(n * t, b, -1)
        tokens = torch.bmm(dealt, weight.reshape(n * t, -1, w)).reshape(n, t, b, w) + bias
        return tokens.transpose(1, 2).reshape(n, b * t, w)

    def _attend(self, qkv: Tensor, b: int) -> Tensor:
        n, t, w, heads = qkv.shape[0], self.num_tokens, self.width, self.num_heads
        split = qkv.reshape(n * b, t, 3, heads, w // heads).permute(2, 0, 3, 1, 4)
        q, k, v = split.reshape(3, n * b * heads, t, w // heads).unbind(0)
        shares = torch.softmax(torch.bmm(q, k.transpose(1, 2)) / math.sqrt(w // heads), -1)
        mixed = torch.bmm(shares, v).reshape(n, b, heads, t, w // heads)
        return mixed.transpose(2, 3).reshape(n, b * t, w)


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
    images_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check that patches cover the image."""
        if self.image_shape[0] != 1 or any(side % 2 for side in self._first_sides()):
            raise ConfigurationError(
                "a CNN's images must have one channel, and its first convolution even sides; got "
                f"image_shape={self.image_shape}, stride={self.stride}"
            )

    def fits(self, image_shape: ImageShape | None) -> bool:
        """Say whether images of this shape are its own."""
        return image_shape == self.image_shape

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
            *_linear(9, first, _GAINS["relu"]),
            *_linear(4 * first, second, _GAINS["relu"]),
            *_linear(self.rows_per_input // 4 * second, num_outputs, _OUTPUT_GAIN),
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


ARCHITECTURES: dict[str, Architecture] = {
    "mlp_32x2_relu": MLP(split="train", width=32, depth=2),
    "mlp_64x2_tanh": MLP(split="train", width=64, depth=2, activation="tanh"),
    "mlp_48x3_gelu_norm": MLP(
        split="train", width=48, depth=3, activation="gelu", is_normalized=True
    ),
    "mlp_128x2_relu": MLP(split="train", width=128, depth=2),
    "resmlp_64x2": MLP(split="train", width=64, depth=2, is_residual=True),
    "mlp_64x2": MLP(split="validation", width=64, depth=2),
    "mlp_64x3_silu": MLP(split="validation", width=64, depth=3, activation="silu"),
    "mlp_256x3_relu": MLP(split="test", width=256, depth=3),
    "mlp_512x2_relu": MLP(split="test", width=512, depth=2),
    "mlp_64x6_relu": MLP(split="test", width=64, depth=6),
    "resmlp_96x4_norm": MLP(split="test", width=96, depth=4, is_normalized=True, is_residual=True),
    "attention_8x32": Attention(split="test"),
    "cnn_8x8": CNN(split="test", image_shape=(1, 8, 8)),
    "cnn_28x28": CNN(split="test", image_shape=(1, 28, 28), stride=2),
}


def architecture(name: str) -> Architecture:
    """Look an architecture up.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
    """
    if name not in ARCHITECTURES:
        raise unknown_name("model", name, ARCHITECTURES)
    return ARCHITECTURES[name]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What lanes must have in common to be trained by one compiled step.

    Args:
        architecture: One of `ARCHITECTURES`.
        num_inputs: `D`, padding included.
        num_outputs: `K`, padding included.
    """

    architecture: str
    num_inputs: int
    num_outputs: int

    def parameters(self) -> list[Parameter]:
        """List the padded weights."""
        return architecture(self.architecture).parameters(self.num_inputs, self.num_outputs)

    def rows_per_input(self) -> int:
        """Return how many rows its layers see for one row of inputs."""
        return architecture(self.architecture).rows_per_input


def initial_weights(
    name: str, num_inputs: int, num_outputs: int, seed: int
) -> list[NDArray[np.float32]]:
    """Draw the weights of one unpadded model.

    Args:
        name: One of `ARCHITECTURES`.
        num_inputs: Real inputs.
        num_outputs: Real outputs.
        seed: The episode seed.

    Returns:
        Arrays in the order of the architecture's parameters; biases are 0.
    """
    listed = architecture(name).parameters(num_inputs, num_outputs)
    drawn = [parameter for parameter in listed if parameter.gain]
    # One call for all: a generator call costs more than the numbers of a small layer.
    numbers = stream(seed, "weights").random(sum(p.size for p in drawn), dtype=np.float32)
    pieces = iter(np.split(numbers, np.cumsum([p.size for p in drawn])[:-1]))
    return [_initial(parameter, pieces) for parameter in listed]


def _initial(parameter: Parameter, pieces: object) -> NDArray[np.float32]:
    if not parameter.gain:
        return np.full(parameter.shape, parameter.fill, dtype=np.float32)
    bound = np.float32(parameter.gain * math.sqrt(3.0 / parameter.shape[-2]))
    piece: NDArray[np.float32] = next(pieces)  # type: ignore[call-overload]
    return ((2.0 * piece - 1.0) * bound).reshape(parameter.shape)


def pad_weights(spec: ModelSpec, weights: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Put the weights of an unpadded model into the corner of the padded one's."""
    padded = []
    for parameter, weight in zip(spec.parameters(), weights, strict=True):
        array = np.zeros(parameter.shape, dtype=np.float32)
        array[tuple(slice(size) for size in weight.shape)] = weight
        padded.append(array)
    return padded
