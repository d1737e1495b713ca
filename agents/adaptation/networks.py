"""Networks as functions of their parameters, which is what adaptation works on.

A network is a *trunk*, which embeds an input, and a linear *head*. It holds shapes and no weights:
parameters go in as a dict of tensors, so that an algorithm can have several sets of them, one a
task. Batch normalisation always uses the statistics of the batch at hand, as is usual in few-shot
learning: there is no running average, which would belong to other tasks.

Sources: the perceptron of two layers of 40 and the net of four convolutional blocks are those of
Finn, Abbeel and Levine, "Model-agnostic meta-learning for fast adaptation of deep networks" (2017),
the latter with strides in place of pooling, as there for Omniglot.

Axes: `S` examples, `E` embedding, `K` outputs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional

from hpo_env.errors import ConfigurationError

from .problems import Problem

Parameters = dict[str, torch.Tensor]
"""Tensors by name."""

HEAD = ("head.weight", "head.bias")
"""The names of the head's parameters, `[K, E]` and `[K]`."""

_EPSILON = 1e-5  # added to the variance in batch normalisation


class Network(ABC):
    """A trunk and a linear head.

    Args:
        problem: What it predicts from what.
        shapes: The trunk's parameters, by name.
        embedding_size: `E`.
    """

    def __init__(
        self, problem: Problem, shapes: dict[str, tuple[int, ...]], embedding_size: int
    ) -> None:
        self.problem = problem
        self.embedding_size = embedding_size
        outputs = problem.num_outputs
        self.shapes = shapes | {HEAD[0]: (outputs, embedding_size), HEAD[1]: (outputs,)}

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Describe the network in plain data: its `kind` in `NETWORKS`, and its arguments."""

    @abstractmethod
    def embed(self, parameters: Parameters, inputs: torch.Tensor) -> torch.Tensor:
        """Return embeddings `[S, E]` of inputs `[S, ...]`; the head is not read."""

    def __call__(self, parameters: Parameters, inputs: torch.Tensor) -> torch.Tensor:
        """Return logits or values `[S, K]` of inputs `[S, ...]`."""
        return functional.linear(self.embed(parameters, inputs), *(parameters[k] for k in HEAD))

    def initial(self, generator: torch.Generator) -> Parameters:
        """Draw parameters: uniform within `1 / sqrt(fan-in)`; scales are 1 and offsets 0."""
        return {name: _drawn(name, shape, generator) for name, shape in self.shapes.items()}


class Perceptron(Network):
    """Fully connected layers with rectifiers.

    Args:
        problem: Inputs are features `(F,)`; images are flattened.
        widths: Units of each hidden layer, at least one layer; the last is the embedding.

    Raises:
        ConfigurationError: There is no layer, or an empty one.
    """

    def __init__(self, problem: Problem, widths: tuple[int, ...] = (40, 40)) -> None:
        if not widths or min(widths) < 1:
            raise ConfigurationError(
                f"widths must name at least one layer of at least one unit; got {widths}"
            )
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (fan_in, fan_out) in enumerate(
            pairwise((math.prod(problem.input_shape), *widths))
        ):
            shapes |= {f"{layer}.weight": (fan_out, fan_in), f"{layer}.bias": (fan_out,)}
        super().__init__(problem, shapes, widths[-1])
        self._widths = widths

    def to_json(self) -> dict[str, Any]:
        """See `Network.to_json`."""
        return {"kind": "perceptron", "widths": self._widths}

    def embed(self, parameters: Parameters, inputs: torch.Tensor) -> torch.Tensor:
        """See `Network.embed`."""
        hidden = inputs.flatten(1)
        for layer in range(len(self._widths)):
            weight, bias = parameters[f"{layer}.weight"], parameters[f"{layer}.bias"]
            hidden = functional.linear(hidden, weight, bias).relu()
        return hidden


class ConvolutionalNet(Network):
    """Blocks of a 3x3 convolution with stride 2, batch normalisation and a rectifier.

    Args:
        problem: Inputs are images `(C, H, W)`; each block halves height and width, rounded up.
        num_channels: Of every block.
        num_blocks: At least 1.

    Raises:
        ConfigurationError: The inputs are no images, or a number is below 1.
    """

    def __init__(self, problem: Problem, num_channels: int = 32, num_blocks: int = 4) -> None:
        if len(problem.input_shape) != 3:
            raise ConfigurationError(
                f"input_shape must be (channels, height, width); got {problem.input_shape}"
            )
        if min(num_channels, num_blocks) < 1:
            raise ConfigurationError(
                f"num_channels and num_blocks must be at least 1; got {num_channels}, {num_blocks}"
            )
        channels, height, width = problem.input_shape
        shapes: dict[str, tuple[int, ...]] = {}
        for block in range(num_blocks):
            shapes |= {
                f"{block}.weight": (num_channels, channels, 3, 3),
                f"{block}.scale": (num_channels,),
                f"{block}.offset": (num_channels,),
            }
            channels, height, width = num_channels, (height + 1) // 2, (width + 1) // 2
        super().__init__(problem, shapes, num_channels * height * width)
        self._num_channels = num_channels
        self._num_blocks = num_blocks

    def to_json(self) -> dict[str, Any]:
        """See `Network.to_json`."""
        return {
            "kind": "convolutional",
            "num_channels": self._num_channels,
            "num_blocks": self._num_blocks,
        }

    def embed(self, parameters: Parameters, inputs: torch.Tensor) -> torch.Tensor:
        """See `Network.embed`."""
        hidden = inputs
        for block in range(self._num_blocks):
            weight = parameters[f"{block}.weight"]
            hidden = functional.conv2d(hidden, weight, stride=2, padding=1)
            hidden = _normalised(hidden) * _over_pixels(parameters[f"{block}.scale"])
            hidden = (hidden + _over_pixels(parameters[f"{block}.offset"])).relu()
        return hidden.flatten(1)


NETWORKS: dict[str, Callable[..., Network]] = {
    "perceptron": Perceptron,
    "convolutional": ConvolutionalNet,
}
"""What a file calls them."""


def usual_network(problem: Problem) -> Network:
    """Return the network that papers use for such inputs: a perceptron, or convolutions."""
    return ConvolutionalNet(problem) if len(problem.input_shape) == 3 else Perceptron(problem)


def _drawn(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    if name.endswith(".scale"):
        return torch.ones(shape)
    if not name.endswith(".weight"):
        return torch.zeros(shape)
    bound = 1.0 / math.sqrt(math.prod(shape[1:]))
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def _normalised(images: torch.Tensor) -> torch.Tensor:
    # Written out, since `functional.batch_norm` has no second derivative under `vmap` on the CPU.
    variance, mean = torch.var_mean(images, dim=(0, 2, 3), correction=0, keepdim=True)
    return (images - mean) * torch.rsqrt(variance + _EPSILON)


def _over_pixels(channels: torch.Tensor) -> torch.Tensor:
    return channels[:, None, None]
