"""Transformers of one block, for tables and images alike.

Axes: `N` lanes, `B` minibatch rows, `D` inputs, `K` outputs, `W` width of a token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from hpo_env.networks.base import (
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
from hpo_env.networks.transformer import Block, BlockModule


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
    kernel_name: ClassVar[str | None] = "Attention"

    @property
    def rows_per_input(self) -> int:
        """Tokens."""
        return self.num_tokens

    @property
    def block(self) -> Block:
        """Its only block."""
        return Block(
            num_tokens=self.num_tokens,
            width=self.width,
            num_heads=self.num_heads,
            widening=2,
            is_causal=False,
        )

    def parameters(self, num_inputs: int, num_outputs: int) -> list[Parameter]:
        """List embedding, block and read-out."""
        t, w = self.num_tokens, self.width
        per_token = -(-num_inputs // t)
        return [
            Parameter((t, per_token, w), 1.0),
            Parameter((t, 1, w)),
            *self.block.parameters(),
            *norm_weights(w),
            *linear_weights(w, num_outputs, OUTPUT_GAIN),
        ]

    def apply(self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout) -> Tensor:
        """Compute outputs `[N, B, K]`; dropout ends both branches of the block."""
        n, b, t, w = x.shape[0], x.shape[1], self.num_tokens, self.width
        p = iter(weights)
        h = self._embed(x, next(p), next(p))  # [N, B * t, w]
        h = self.block.apply(p, h, dropout, num_rows=b, first_site=0)
        h = apply_norm(h, next(p), next(p)).reshape(n, b, t, w).mean(2)
        return apply_linear(h, next(p), next(p))

    def reference(self, num_inputs: int, num_outputs: int) -> ReferenceModule:
        """Build the plain module."""
        return AttentionModule(self, num_inputs, num_outputs)

    def kernel_sizes(self) -> tuple[int, ...]:
        """List tokens, width and heads."""
        return (self.num_tokens, self.width, self.num_heads)

    def _embed(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        n, b, t, w = x.shape[0], x.shape[1], self.num_tokens, self.width
        dealt = x.reshape(n, b, -1, t).permute(0, 3, 1, 2).reshape(n * t, b, -1)
        tokens = torch.bmm(dealt, weight.reshape(n * t, -1, w)).reshape(n, t, b, w) + bias
        return tokens.transpose(1, 2).reshape(n, b * t, w)


class AttentionModule(ReferenceModule):
    """Twin of `Attention`."""

    def __init__(self, sizes: Attention, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        width = sizes.width
        self.num_tokens = sizes.num_tokens
        self.per_token = -(-num_inputs // sizes.num_tokens)
        self.embeddings = nn.ModuleList(
            nn.Linear(self.per_token, width) for _ in range(sizes.num_tokens)
        )
        self.block = BlockModule(sizes.block)
        self.norm3 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.output = nn.Linear(width, num_outputs)

    def children_in_order(self) -> Iterator[nn.Module]:
        """Yield the layers in the order of the batched model's weights."""
        yield self.embeddings
        yield from self.block.children_in_order()
        yield from (self.norm3, self.output)

    def forward(self, x: Tensor, drop: Drop) -> Tensor:
        """Compute outputs `[B, K]`."""
        x = F.pad(x, (0, self.per_token * self.num_tokens - x.shape[1]))
        tokens = [embed(x[:, t :: self.num_tokens]) for t, embed in enumerate(self.embeddings)]
        h = torch.stack(tokens, dim=1)  # [B, tokens, W]
        h = self.block(h, drop, 0)
        return self.output(self.norm3(h).mean(1))  # type: ignore[no-any-return]
