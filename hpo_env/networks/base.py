"""What an inner network is: its weights and how N lanes of it are applied at once.

A model is a list of weights, each `[N, ...]`, and a function that applies them. Weights multiply
with `torch.bmm`: on a CPU that is several times faster than `vmap`, which it replaces here.

Padding is exact. Data sets of several widths share a model with `D` inputs and `K` outputs; the
weights of inputs and outputs that a task does not have start at 0, get no gradient and stay 0, so
that a padded lane equals the model of its own size. Each kind names its twin of that size, a plain
module (`reference.py`), against which it is tested.

Adding a kind costs one file with a subclass of `Architecture` and a line in `registry.py`.

Axes: `N` lanes, `B` minibatch rows, `D` inputs, `K` outputs, `W` width of a layer.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.networks.reference import NORM_EPSILON, ReferenceModule
from hpo_env.seeding import stream

ModelSplit = Literal["train", "validation", "test"]
Modality = Literal["tables", "images", "tokens"]
"""What a network is for: rows of numbers (and images as such), images alone, or next tokens."""
Dropout = Callable[[Tensor, int], Tensor]
"""Drops elements of a layer `[N, B, W]`; the integer numbers the model's dropout layers."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "silu": F.silu,
}
GAINS = {"relu": math.sqrt(2.0), "tanh": 1.0, "gelu": math.sqrt(2.0), "silu": math.sqrt(2.0)}
"""Gain of a layer's weights, by the activation that follows it."""
OUTPUT_GAIN = 1.0 / math.sqrt(3.0)
"""Gain of a read-out: the variance of `torch.nn.Linear`'s default."""
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
        is_average: Whether it is a running average, which has no gradient, and of which neither
            optimisers nor norms of weights know.
    """

    shape: tuple[int, ...]
    gain: float = 0.0
    fill: float = 0.0
    is_average: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Architecture(ABC):
    """A kind and size of network, whatever its numbers of inputs and outputs."""

    split: ModelSplit
    modality: ClassVar[Modality] = "tables"
    """The kind of work whose tasks draw it."""

    kernel_name: ClassVar[str | None] = None
    """The kind's name among those of the native library (`kernel_kinds` in kernels.cpp)."""

    @property
    def kernel(self) -> str | None:
        """The kind's name in the native library; None if there is no kernel for it.

        Only what the class itself declares: one that is derived from it may compute something else.
        """
        declared: str | None = vars(type(self)).get("kernel_name")
        return declared

    def kernel_sizes(self) -> tuple[int, ...]:
        """List what the C++ structure `Sizes` of the kind holds, in its order."""
        return ()

    @property
    def images(self) -> ImageShape | None:
        """The shape of the images that it is made for; None: it takes any rows of numbers."""
        return None

    @property
    def images_only(self) -> bool:
        """Whether it takes images of one shape and nothing else."""
        return self.images is not None

    def fits(self, image_shape: ImageShape | None) -> bool:
        """Say whether it takes images of this shape, or tables if it is None."""
        return self.images is None or self.images == image_shape

    @property
    def window(self) -> int | None:
        """How many tokens of a text its rows are; None: they are numbers."""
        return None

    @property
    def rows_per_input(self) -> int:
        """Tokens or pixels: rows that a layer's weights see for each row of inputs."""
        return 1

    @abstractmethod
    def parameters(self, num_inputs: int, num_outputs: int) -> list[Parameter]:
        """List the weights in the order in which `apply` takes them."""

    @abstractmethod
    def apply(self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout) -> Tensor:
        """Compute outputs `[N, B, K]` from inputs `[N, B, D]`, at each token that it reads."""

    def apply_in_training(
        self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout, is_real: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Compute outputs as an update does, and the new values of running averages.

        Args:
            weights: All, running averages included.
            x: Inputs `[N, B, D]`.
            dropout: Drops elements of a layer.
            is_real: Which rows are of the minibatch, bool `[N, B]`.

        Returns:
            Outputs `[N, B, K]`, and the averages `[N, ...]` in the order of the weights.
        """
        return self.apply(weights, x, dropout), []

    @abstractmethod
    def reference(self, num_inputs: int, num_outputs: int) -> ReferenceModule:
        """Build the plain module of one unpadded model, with weights that are yet to be loaded."""

    def initial_weights(
        self, num_inputs: int, num_outputs: int, seed: int
    ) -> list[NDArray[np.float32]]:
        """Draw the weights of one unpadded model.

        Args:
            num_inputs: Real inputs.
            num_outputs: Real outputs.
            seed: The episode seed.

        Returns:
            Arrays in the order of `parameters`; biases are 0.
        """
        listed = self.parameters(num_inputs, num_outputs)
        drawn = [parameter for parameter in listed if parameter.gain]
        # One call for all: a generator call costs more than the numbers of a small layer.
        numbers = stream(seed, "weights").random(sum(p.size for p in drawn), dtype=np.float32)
        pieces = iter(np.split(numbers, np.cumsum([p.size for p in drawn])[:-1]))
        return [_initial(parameter, pieces) for parameter in listed]


def _initial(parameter: Parameter, pieces: Iterator[NDArray[np.float32]]) -> NDArray[np.float32]:
    if not parameter.gain:
        return np.full(parameter.shape, parameter.fill, dtype=np.float32)
    bound = np.float32(parameter.gain * math.sqrt(3.0 / parameter.shape[-2]))
    return ((2.0 * next(pieces) - 1.0) * bound).reshape(parameter.shape)


def pad_weights(
    parameters: Sequence[Parameter], weights: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """Put the weights of an unpadded model into the corners of a padded one's.

    Args:
        parameters: The padded model's.
        weights: The unpadded one's, in the same order.
    """
    padded = []
    for parameter, weight in zip(parameters, weights, strict=True):
        array = np.zeros(parameter.shape, dtype=np.float32)
        array[tuple(slice(size) for size in weight.shape)] = weight
        padded.append(array)
    return padded


# --- Layers ---------------------------------------------------------------------------------------


def linear_weights(num_inputs: int, num_outputs: int, gain: float) -> list[Parameter]:
    """List weight and bias of a linear layer."""
    return [Parameter((num_inputs, num_outputs), gain), Parameter((1, num_outputs))]


def norm_weights(width: int) -> list[Parameter]:
    """List scale and shift of a layer norm."""
    return [Parameter((1, width), fill=1.0), Parameter((1, width))]


def apply_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply N linear layers: `[N, B, in]`, `[N, in, out]`, `[N, 1, out]` -> `[N, B, out]`."""
    return torch.bmm(x, weight) + bias


def apply_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Apply N layer norms to the last axis: `[N, B, W]`, twice `[N, 1, W]` -> `[N, B, W]`."""
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred * centred).mean(-1, keepdim=True)
    return centred * torch.rsqrt(variance + NORM_EPSILON) * scale + shift
