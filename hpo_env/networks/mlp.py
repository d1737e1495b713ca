"""Multilayer perceptrons.

Axes: `N` lanes, `B` minibatch rows, `D` inputs, `K` outputs, `W` width of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from hpo_env.networks.base import (
    ACTIVATIONS,
    GAINS,
    OUTPUT_GAIN,
    Architecture,
    Dropout,
    ModelSplit,
    Parameter,
    apply_linear,
    apply_norm,
    linear_weights,
    norm_weights,
)
from hpo_env.networks.reference import NORM_EPSILON, Drop, ReferenceModule


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
    kernel_name: ClassVar[str | None] = "MLP"

    def parameters(self, num_inputs: int, num_outputs: int) -> list[Parameter]:
        """List weight, bias (and scale, shift) of each layer."""
        listed = []
        for layer in range(self.depth):
            fan_in = self.width if layer else num_inputs
            listed += linear_weights(fan_in, self.width, GAINS[self.activation])
            listed += norm_weights(self.width) if self.is_normalized else []
        return listed + linear_weights(self.width, num_outputs, OUTPUT_GAIN)

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

    def reference(self, num_inputs: int, num_outputs: int) -> ReferenceModule:
        """Build the plain module."""
        return MLPModule(self, num_inputs, num_outputs)

    def kernel_sizes(self) -> tuple[int, ...]:
        """List depth, width, the activation's number, and both flags."""
        activation = list(ACTIVATIONS).index(self.activation)
        return (self.depth, self.width, activation, self.is_normalized, self.is_residual)


class MLPModule(ReferenceModule):
    """Twin of `MLP`."""

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
