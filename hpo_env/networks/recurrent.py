"""Recurrent networks: they read a text token by token and remember what they have read.

Axes: `N` lanes, `B` minibatch rows, `S` tokens of a window, `T = S - 1` of them read, `K` outputs,
`W` width of a token and of what is remembered.
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
    Dropout,
    ModelSplit,
    Parameter,
    apply_linear,
    linear_weights,
)
from hpo_env.networks.language import LanguageModel, embed
from hpo_env.networks.reference import Drop, ReferenceModule

_GAIN = 1.0 / math.sqrt(3.0)
"""Of both matrices of a cell: the variance of `torch.nn.GRU`'s default."""


@dataclass(frozen=True, kw_only=True)
class GRU(LanguageModel):
    """Gated recurrent units on embeddings of tokens; every window begins with an empty memory.

    The cell is that of `torch.nn.GRU` (Cho et al., "Learning phrase representations using RNN
    encoder-decoder", 2014, with the reset after the product). Dropout comes before the read-out.

    Args:
        split: Which tasks use it.
        context: `T`.
        width: `W`.
    """

    split: ModelSplit
    context: int
    width: int
    kernel_name: ClassVar[str | None] = "GRU"

    def parameters(self, num_inputs: int, num_outputs: int) -> list[Parameter]:
        """List embedding, cell and read-out; the number of inputs follows from the context.

        A cell has weight and bias of what is read, then of what is remembered; of each the reset
        gate comes first, then the update gate, then the candidate.
        """
        w = self.width
        return [
            Parameter((num_outputs, w), math.sqrt(num_outputs)),
            *linear_weights(w, 3 * w, _GAIN),
            *linear_weights(w, 3 * w, _GAIN),
            *linear_weights(w, num_outputs, OUTPUT_GAIN),
        ]

    def apply(self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout) -> Tensor:
        """Compute outputs `[N, B, T, K]` at the tokens that are read, of windows `[N, B, S]`."""
        n, b, t, w = x.shape[0], x.shape[1], self.context, self.width
        table, read, read_bias, kept, kept_bias, *read_out = weights
        read_gates = apply_linear(embed(x[:, :, :t], table), read, read_bias).reshape(n, b, t, -1)
        memory = x.new_zeros((n, b, w), dtype=table.dtype)
        memories = []
        for token in range(t):
            memory = _remember(
                read_gates[:, :, token], apply_linear(memory, kept, kept_bias), memory
            )
            memories.append(memory)
        h = dropout(torch.cat(memories, -1), 0).reshape(n, b * t, w)
        return apply_linear(h, *read_out).reshape(n, b, t, -1)

    def reference(self, num_inputs: int, num_outputs: int) -> ReferenceModule:
        """Build the plain module; the number of inputs follows from the context."""
        return GRUModule(self, num_outputs)

    def kernel_sizes(self) -> tuple[int, ...]:
        """List context and width."""
        return (self.context, self.width)


def _remember(read: Tensor, kept: Tensor, memory: Tensor) -> Tensor:
    """Take one token in: two `[N, B, 3W]`, from token and memory `[N, B, W]`, to the next one."""
    reset_read, update_read, read = read.chunk(3, -1)
    reset_kept, update_kept, kept = kept.chunk(3, -1)
    reset = torch.sigmoid(reset_read + reset_kept)
    update = torch.sigmoid(update_read + update_kept)
    candidate = torch.tanh(read + reset * kept)
    return candidate + update * (memory - candidate)


class GRUModule(ReferenceModule):
    """Twin of `GRU`."""

    def __init__(self, sizes: GRU, num_outputs: int) -> None:
        super().__init__()
        self.context = sizes.context
        self.tokens = nn.Embedding(num_outputs, sizes.width)
        self.cell = nn.GRU(sizes.width, sizes.width, batch_first=True)
        self.output = nn.Linear(sizes.width, num_outputs)

    def children_in_order(self) -> Iterator[nn.Module]:
        """Yield the layers in the order of the batched model's weights."""
        yield from (self.tokens, self.cell, self.output)

    def forward(self, x: Tensor, drop: Drop) -> Tensor:
        """Compute outputs `[B, T, K]` at the tokens that are read, of windows `[B, S]`."""
        h, _ = self.cell(self.tokens(x[:, : self.context].long()))
        dropped = drop(h.flatten(1), 0).reshape(h.shape)
        return self.output(dropped)  # type: ignore[no-any-return]
