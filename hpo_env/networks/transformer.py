"""The pre-norm block that all transformers here are made of.

Tokens of a row lie one after another: what flows through blocks is `[N, B * T, W]`.

Axes: `N` lanes, `B` minibatch rows, `T` tokens of a row, `W` width of a token.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from hpo_env.networks.base import (
    GAINS,
    Dropout,
    Parameter,
    apply_linear,
    apply_norm,
    linear_weights,
    norm_weights,
)
from hpo_env.networks.reference import NORM_EPSILON, Drop


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Attention, then a layer that widens and narrows; each added to what comes in.

    Args:
        num_tokens: `T`.
        width: `W`.
        num_heads: Heads; divides `width`.
        widening: How many times as wide the hidden layer is.
        is_causal: Whether tokens see those before them and themselves alone.
    """

    num_tokens: int
    width: int
    num_heads: int
    widening: int
    is_causal: bool

    def parameters(self) -> list[Parameter]:
        """List the weights in the order in which `apply` takes them."""
        w, hidden = self.width, self.widening * self.width
        return [
            *norm_weights(w),
            *linear_weights(w, 3 * w, 1.0),
            *linear_weights(w, w, 1.0),
            *norm_weights(w),
            *linear_weights(w, hidden, GAINS["gelu"]),
            *linear_weights(hidden, w, 1.0),
        ]

    def apply(
        self, p: Iterator[Tensor], h: Tensor, dropout: Dropout, *, num_rows: int, first_site: int
    ) -> Tensor:
        """Compute what goes on, `[N, B * T, W]`; dropout ends both branches.

        Args:
            p: The weights, in order; the block's are taken.
            h: What comes in, `[N, B * T, W]`.
            dropout: Drops elements of a branch `[N, B, T * W]`.
            num_rows: `B`.
            first_site: The number of the first of its two dropout layers.
        """
        n, b, size = h.shape[0], num_rows, self.num_tokens * self.width
        z = apply_norm(h, next(p), next(p))
        z = self._attend(apply_linear(z, next(p), next(p)), b)
        z = apply_linear(z, next(p), next(p))
        h = h + dropout(z.reshape(n, b, size), first_site).reshape(h.shape)
        z = apply_norm(h, next(p), next(p))
        z = apply_linear(F.gelu(apply_linear(z, next(p), next(p))), next(p), next(p))
        return h + dropout(z.reshape(n, b, size), first_site + 1).reshape(h.shape)

    def _attend(self, qkv: Tensor, b: int) -> Tensor:
        n, t, w, heads = qkv.shape[0], self.num_tokens, self.width, self.num_heads
        split = qkv.reshape(n * b, t, 3, heads, w // heads).permute(2, 0, 3, 1, 4)
        q, k, v = split.reshape(3, n * b * heads, t, w // heads).unbind(0)
        scores = torch.bmm(q, k.transpose(1, 2)) / math.sqrt(w // heads)
        if self.is_causal:
            scores = scores.masked_fill(later_tokens(t, scores.device), -math.inf)
        mixed = torch.bmm(torch.softmax(scores, -1), v).reshape(n, b, heads, t, w // heads)
        return mixed.transpose(2, 3).reshape(n, b * t, w)


def later_tokens(num_tokens: int, device: torch.device | None = None) -> Tensor:
    """Say which tokens (columns) come after a token (rows), bool `[T, T]`."""
    place = torch.arange(num_tokens, device=device)
    return place[None, :] > place[:, None]


class BlockModule(nn.Module):
    """Twin of `Block`."""

    def __init__(self, sizes: Block) -> None:
        super().__init__()
        width = sizes.width
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.attention = nn.MultiheadAttention(width, sizes.num_heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.widen = nn.Linear(width, sizes.widening * width)
        self.narrow = nn.Linear(sizes.widening * width, width)
        self.mask = later_tokens(sizes.num_tokens) if sizes.is_causal else None

    def children_in_order(self) -> Iterator[nn.Module]:
        """Yield the layers in the order of the block's weights."""
        yield from (self.norm1, self.attention, self.norm2, self.widen, self.narrow)

    def forward(self, h: Tensor, drop: Drop, first_site: int) -> Tensor:
        """Compute what goes on, `[B, T, W]`."""
        z = self.norm1(h)
        z, _ = self.attention(z, z, z, need_weights=False, attn_mask=self.mask)
        h = h + drop(z.flatten(1), first_site).reshape(h.shape)
        z = self.narrow(F.gelu(self.widen(self.norm2(h))))
        return h + drop(z.flatten(1), first_site + 1).reshape(h.shape)
