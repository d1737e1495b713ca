"""What the plain twins of the inner networks have in common: one lane each, and unpadded.

Slow and obvious: each is built from torch's own layers, and stands beside the batched model that is
tested against it.

Axes: `B` rows, `D` inputs, `K` outputs, `W` width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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


def _load_layer(layer: nn.Module, weights: Iterator[NDArray[np.float32]]) -> None:
    """Copy the next weights into a layer, turned to torch's layout."""
    if isinstance(layer, nn.Identity):
        return
    if isinstance(layer, nn.Embedding):
        layer.weight.copy_(torch.from_numpy(next(weights)))
        return
    if isinstance(layer, nn.Conv2d):
        _load_convolution(layer, weights)
        return
    weight, bias = torch.from_numpy(next(weights)), torch.from_numpy(next(weights))
    if isinstance(layer, nn.ModuleList):  # one embedding a token, stacked
        for embed, w, b in zip(layer, weight, bias, strict=True):
            _load_layer(embed, iter([w.numpy(), b.numpy()]))
    elif isinstance(layer, nn.MultiheadAttention):
        layer.in_proj_weight.copy_(weight.T)
        layer.in_proj_bias.copy_(bias[0])
        _load_layer(layer.out_proj, weights)
    elif isinstance(layer, nn.LayerNorm | nn.BatchNorm2d):
        layer.weight.copy_(weight[0])
        layer.bias.copy_(bias[0])
        if isinstance(layer, nn.BatchNorm2d):
            for average in (layer.running_mean, layer.running_var):
                assert average is not None
                average.copy_(torch.from_numpy(next(weights)[0]))
    else:
        assert isinstance(layer, nn.Linear)
        layer.weight.copy_(weight.T)
        layer.bias.copy_(bias[0])


def _load_convolution(layer: nn.Conv2d, weights: Iterator[NDArray[np.float32]]) -> None:
    height, width = layer.kernel_size
    weight = torch.from_numpy(next(weights))  # its rows are (height, width, channel)
    patches = weight.reshape(height, width, layer.in_channels, layer.out_channels)
    layer.weight.copy_(patches.permute(3, 2, 0, 1))
    if layer.bias is not None:
        layer.bias.copy_(torch.from_numpy(next(weights)[0]))
