"""What the plain twins of the inner networks have in common: one lane each, and unpadded.

Slow and obvious: each is built from torch's own layers, and stands beside the batched model that is
tested against it.

Axes: `B` rows, `D` inputs, `K` outputs, `W` width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import singledispatch
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

NORM_EPSILON = 1e-5
"""Added to the variance in every layer norm, of twins and batched models alike."""

Drop = Callable[[Tensor, int], Tensor]
"""Drops elements of a layer `[B, W]`; the integer numbers the model's dropout layers."""


class ReferenceModule(nn.Module):
    """A module that takes the batched model's weights, called as `module(x, drop)`.

    It takes inputs `[B, D]` and returns `[B, K]`, at each token that it reads where it reads some.
    """

    def children_in_order(self) -> Iterator[nn.Module]:
        """Yield the layers in the order of the batched model's weights."""
        raise NotImplementedError

    def normalizes_by_minibatch(self, does: bool) -> None:
        """Say whether batch norms take the minibatch, as in training, or running averages."""
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.train(does)

    def load(self, weights: Sequence[NDArray[np.float32]]) -> Self:
        """Take on the weights of one unpadded model, as `Architecture.initial_weights` draws them.

        Returns:
            The module itself.
        """
        left = iter(weights)
        with torch.no_grad():
            for layer in self.children_in_order():
                _load_layer(layer, left)
        assert next(left, None) is None
        return self


Weights = Iterator[NDArray[np.float32]]


@singledispatch
def _load_layer(layer: nn.Module, weights: Weights) -> None:
    """Copy the next weights into a layer, turned to torch's layout."""
    raise NotImplementedError(f"nobody has said how the weights of a {type(layer).__name__} lie")


@_load_layer.register
def _(layer: nn.Identity, weights: Weights) -> None:
    pass


@_load_layer.register
def _(layer: nn.Linear, weights: Weights) -> None:
    layer.weight.copy_(_next(weights).T)
    layer.bias.copy_(_next(weights)[0])


@_load_layer.register
def _(layer: nn.Embedding, weights: Weights) -> None:
    layer.weight.copy_(_next(weights))


@_load_layer.register
def _(layer: nn.Conv2d, weights: Weights) -> None:
    height, width = layer.kernel_size  # rows of a weight are (height, width, channel)
    patches = _next(weights).reshape(height, width, layer.in_channels, layer.out_channels)
    layer.weight.copy_(patches.permute(3, 2, 0, 1))
    if layer.bias is not None:
        layer.bias.copy_(_next(weights)[0])


@_load_layer.register
def _(layer: nn.LayerNorm, weights: Weights) -> None:
    layer.weight.copy_(_next(weights)[0])
    layer.bias.copy_(_next(weights)[0])


@_load_layer.register
def _(layer: nn.BatchNorm2d, weights: Weights) -> None:
    for part in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        assert part is not None
        part.copy_(_next(weights)[0])


@_load_layer.register
def _(layer: nn.MultiheadAttention, weights: Weights) -> None:
    layer.in_proj_weight.copy_(_next(weights).T)
    layer.in_proj_bias.copy_(_next(weights)[0])
    _load_layer(layer.out_proj, weights)


@_load_layer.register
def _(layer: nn.GRU, weights: Weights) -> None:
    for part in ("ih", "hh"):  # of what is read, then of what is remembered
        getattr(layer, f"weight_{part}_l0").copy_(_next(weights).T)
        getattr(layer, f"bias_{part}_l0").copy_(_next(weights)[0])


@_load_layer.register
def _(layer: nn.ModuleList, weights: Weights) -> None:
    for embed, *of_token in zip(layer, next(weights), next(weights), strict=True):
        _load_layer(embed, iter(of_token))  # one embedding a token, stacked


def _next(weights: Weights) -> Tensor:
    return torch.from_numpy(next(weights))
