"""Networks that read a text and tell each next token.

A row is a window of `S` tokens, whole numbers below the size `K` of the vocabulary. The network
reads all but the last, and its outputs at each are about the one after it.

Axes: `N` lanes, `B` minibatch rows, `S` tokens of a window, `T = S - 1` of them read, `K` outputs,
`W` width of a token.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hpo_env.networks.base import (
    OUTPUT_GAIN,
    Architecture,
    Dropout,
    ImageShape,
    Modality,
    ModelSplit,
    Parameter,
    apply_linear,
    apply_norm,
    linear_weights,
    norm_weights,
)
from hpo_env.networks.reference import NORM_EPSILON, Drop, ReferenceModule
from hpo_env.networks.transformer import Block, BlockModule


class LanguageModel(Architecture):
    """What reads windows of tokens, `T = context` of them; the vocabulary is its outputs."""

    modality: ClassVar[Modality] = "tokens"
    context: int

    @property
    def window(self) -> int:
        """Tokens of a row: those that it reads, and one more to be told."""
        return self.context + 1

    @property
    def rows_per_input(self) -> int:
        """Tokens that are read."""
        return self.context

    def fits(self, image_shape: ImageShape | None) -> bool:
        """Say no: it takes neither tables nor images."""
        return False


def embed(tokens: Tensor, table: Tensor) -> Tensor:
    """Look tokens up in tables `[N, K, W]`: `[N, B, T]` -> `[N, B * T, W]`.

    As a product, whose gradient is summed in one order wherever a lane stands.
    """
    n, size = len(tokens), table.shape[1]
    numbers = torch.arange(size, device=tokens.device, dtype=tokens.dtype)
    is_number = tokens.reshape(n, -1, 1) == numbers
    return torch.bmm(is_number.to(table.dtype), table)


@dataclass(frozen=True, kw_only=True)
class GPT(LanguageModel):
    """A stack of causal transformer blocks on embeddings of tokens and of their places.

    Args:
        split: Which tasks use it.
        context: `T`.
        width: `W`.
        num_blocks: Blocks.
        num_heads: Heads of each; divides `width`.
        spread: Standard deviation of all weights at the start, those that end a branch being
            smaller by `sqrt(2 * num_blocks)`, as GPT-2 has them; None: layers by their fan-in, and
            embeddings of standard deviation 1, as `torch.nn` has them.
    """

    split: ModelSplit
    context: int
    width: int
    num_blocks: int = 1
    num_heads: int = 2
    spread: float | None = None
    kernel_name: ClassVar[str | None] = "GPT"

    @property
    def block(self) -> Block:
        """What each of its blocks is."""
        return Block(
            num_tokens=self.context,
            width=self.width,
            num_heads=self.num_heads,
            widening=4,
            is_causal=True,
        )

    def parameters(self, num_inputs: int, num_outputs: int) -> list[Parameter]:
        """List embeddings, blocks and read-out; the number of inputs follows from the context."""
        w = self.width
        listed = [
            Parameter((num_outputs, w), math.sqrt(num_outputs)),
            Parameter((self.context, w), math.sqrt(self.context)),
            *(parameter for _ in range(self.num_blocks) for parameter in self.block.parameters()),
            *norm_weights(w),
            *linear_weights(w, num_outputs, OUTPUT_GAIN),
        ]
        if self.spread is None:
            return listed
        return [self._spread_out(place, parameter) for place, parameter in enumerate(listed)]

    def _spread_out(self, place: int, parameter: Parameter) -> Parameter:
        """Give a drawn parameter the common standard deviation."""
        if not parameter.gain:
            return parameter
        assert self.spread is not None
        num_of_block = len(self.block.parameters())
        ends_branch = 2 <= place < 2 + self.num_blocks * num_of_block and (
            (place - 2) % num_of_block in (4, 10)
        )
        smaller = math.sqrt(2.0 * self.num_blocks) if ends_branch else 1.0
        return Parameter(
            parameter.shape, gain=self.spread / smaller * math.sqrt(parameter.shape[-2])
        )

    def apply(self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout) -> Tensor:
        """Compute outputs `[N, B, T, K]` at the tokens that are read, of windows `[N, B, S]`."""
        n, b, t = x.shape[0], x.shape[1], self.context
        p = iter(weights)
        h = embed(x[:, :, :t], next(p))
        h = (h.reshape(n, b, t, -1) + next(p)[:, None]).reshape(n, b * t, -1)
        for block in range(self.num_blocks):
            h = self.block.apply(p, h, dropout, num_rows=b, first_site=2 * block)
        h = apply_norm(h, next(p), next(p))
        return apply_linear(h, next(p), next(p)).reshape(n, b, t, -1)

    def reference(self, num_inputs: int, num_outputs: int) -> ReferenceModule:
        """Build the plain module; the number of inputs follows from the context."""
        return GPTModule(self, num_outputs)

    def kernel_sizes(self) -> tuple[int, ...]:
        """List context, width, blocks and heads."""
        return (self.context, self.width, self.num_blocks, self.num_heads)


class GPTModule(ReferenceModule):
    """Twin of `GPT`."""

    def __init__(self, sizes: GPT, num_outputs: int) -> None:
        super().__init__()
        self.context = sizes.context
        self.tokens = nn.Embedding(num_outputs, sizes.width)
        self.places = nn.Embedding(sizes.context, sizes.width)
        self.blocks = nn.ModuleList(BlockModule(sizes.block) for _ in range(sizes.num_blocks))
        self.norm = nn.LayerNorm(sizes.width, eps=NORM_EPSILON)
        self.output = nn.Linear(sizes.width, num_outputs)

    def children_in_order(self) -> Iterator[nn.Module]:
        """Yield the layers in the order of the batched model's weights."""
        yield from (self.tokens, self.places)
        for block in self.blocks:
            assert isinstance(block, BlockModule)
            yield from block.children_in_order()
        yield from (self.norm, self.output)

    def forward(self, x: Tensor, drop: Drop) -> Tensor:
        """Compute outputs `[B, T, K]` at the tokens that are read, of windows `[B, S]`."""
        read = x[:, : self.context].long()
        h = self.tokens(read) + self.places(torch.arange(self.context))
        for number, block in enumerate(self.blocks):
            h = block(h, drop, 2 * number)
        return self.output(self.norm(h))  # type: ignore[no-any-return]
