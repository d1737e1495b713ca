"""The inner networks as plain torch modules, one lane each and unpadded.

Slow and obvious twins of `hpo_env.networks.models`: built from torch's own layers, against which
the batched versions are tested.

Axes: `B` rows, `D` inputs, `K` outputs, `W` width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from hpo_env.networks.models import ACTIVATIONS, CNN, MLP, NORM_EPSILON, Attention, architecture

Drop = Callable[[Tensor, int], Tensor]
"""Drops elements of a layer `[B, W]`; the integer numbers the model's dropout layers."""


class ReferenceModule(nn.Module):
    """A module whose layers can be listed in the order of the batched model's weights."""

    def children_in_order(self) -> Iterator[nn.Module]:
        """Yield the layers in the order of the batched model's weights."""
        raise NotImplementedError


def reference_module(
    name: str, num_inputs: int, num_outputs: int, weights: list[NDArray[np.float32]]
) -> nn.Module:
    """Build the module of an architecture with given weights.

    Args:
        name: One of `hpo_env.networks.models.ARCHITECTURES`.
        num_inputs: Real inputs.
        num_outputs: Real outputs.
        weights: What `hpo_env.networks.models.initial_weights` drew.

    Returns:
        A module, called as `module(x, drop)` with inputs `[B, D]`, that returns `[B, K]`.
    """
    chosen = architecture(name)
    module: ReferenceModule
    if isinstance(chosen, MLP):
        module = MLPModule(chosen, num_inputs, num_outputs)
    elif isinstance(chosen, Attention):
        module = AttentionModule(chosen, num_inputs, num_outputs)
    else:
        assert isinstance(chosen, CNN)
        module = CNNModule(chosen, num_outputs)
    left = iter(weights)
    with torch.no_grad():
        for layer in module.children_in_order():
            _load(layer, left)
    assert next(left, None) is None
    return module


class MLPModule(ReferenceModule):
    """Twin of `hpo_env.networks.models.MLP`."""

    def __init__(self, sizes: MLP, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[sizes.activation]
        self.is_residual = sizes.is_residual
        widths = [num_inputs] + [sizes.width] * sizes.depth
        self.hidden = nn.ModuleList(nn.Linear(widths[i], widths[i + 1]) for i in range(sizes.depth))
        self.norms = nn.ModuleList(
            nn.LayerNorm(sizes.width, eps=NORM_EPSILON) if sizes.is_normalized else nn.Identity()
            for _ in range(sizes.depth)
        )
        self.output = nn.Linear(sizes.width, num_outputs)

    def children_in_order(self) -> Iterator[nn.Module]:
        """Yield the layers in the order of the batched model's weights."""
        for linear, norm in zip(self.hidden, self.norms, strict=True):
            yield from (linear, norm)
        yield self.output

    def forward(self, x: Tensor, drop: Drop) -> Tensor:
        """Compute outputs `[B, K]`."""
        h = x
        for i, (linear, norm) in enumerate(zip(self.hidden, self.norms, strict=True)):
            z = drop(self.activation(norm(linear(h))), i)
            h = h + z if self.is_residual and i > 0 else z
        return self.output(h)  # type: ignore[no-any-return]


class AttentionModule(ReferenceModule):
    """Twin of `hpo_env.networks.models.Attention`."""

    def __init__(self, sizes: Attention, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        width = sizes.width
        self.num_tokens = sizes.num_tokens
        self.per_token = -(-num_inputs // sizes.num_tokens)
        self.embeddings = nn.ModuleList(
            nn.Linear(self.per_token, width) for _ in range(sizes.num_tokens)
        )
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.attention = nn.MultiheadAttention(width, sizes.num_heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.widen = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)
        self.norm3 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.output = nn.Linear(width, num_outputs)

    def children_in_order(self) -> Iterator[nn.Module]:
        """Yield the layers in the order of the batched model's weights."""
        yield self.embeddings
        yield from (self.norm1, self.attention, self.norm2, self.widen, self.narrow)
        yield from (self.norm3, self.output)

    def forward(self, x: Tensor, drop: Drop) -> Tensor:
        """Compute outputs `[B, K]`."""
        x = F.pad(x, (0, self.per_token * self.num_tokens - x.shape[1]))
        tokens = [embed(x[:, t :: self.num_tokens]) for t, embed in enumerate(self.embeddings)]
        h = torch.stack(tokens, dim=1)  # [B, tokens, W]
        z = self.norm1(h)
        z, _ = self.attention(z, z, z, need_weights=False)
        h = h + drop(z.flatten(1), 0).reshape(h.shape)
        z = self.narrow(F.gelu(self.widen(self.norm2(h))))
        h = h + drop(z.flatten(1), 1).reshape(h.shape)
        return self.output(self.norm3(h).mean(1))  # type: ignore[no-any-return]


class CNNModule(ReferenceModule):
    """Twin of `hpo_env.networks.models.CNN`."""

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


def _load(layer: nn.Module, weights: Iterator[NDArray[np.float32]]) -> None:
    """Copy the next weights into a layer, turned to torch's layout."""
    if isinstance(layer, nn.Identity):
        return
    weight, bias = torch.from_numpy(next(weights)), torch.from_numpy(next(weights))
    if isinstance(layer, nn.ModuleList):  # one embedding a token, stacked
        for embed, w, b in zip(layer, weight, bias, strict=True):
            _load(embed, iter([w.numpy(), b.numpy()]))
    elif isinstance(layer, nn.MultiheadAttention):
        layer.in_proj_weight.copy_(weight.T)
        layer.in_proj_bias.copy_(bias[0])
        _load(layer.out_proj, weights)
    elif isinstance(layer, nn.Conv2d):  # rows of `weight` are (height, width, channel)
        height, width = layer.kernel_size
        patches = weight.reshape(height, width, layer.in_channels, layer.out_channels)
        layer.weight.copy_(patches.permute(3, 2, 0, 1))
        layer.bias.copy_(bias[0])  # type: ignore[union-attr]
    elif isinstance(layer, nn.LayerNorm):
        layer.weight.copy_(weight[0])
        layer.bias.copy_(bias[0])
    else:
        assert isinstance(layer, nn.Linear)
        layer.weight.copy_(weight.T)
        layer.bias.copy_(bias[0])
