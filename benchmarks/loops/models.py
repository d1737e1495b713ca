"""Models of the kinds that people train, written as they write them.

None is among the package's own. Axes: `B` rows, `T` tokens, `W` width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Block(nn.Module):
    """Attention and perceptron, each normalised before and added (Vaswani et al., 2017)."""

    def __init__(self, width: int, heads: int, *, is_causal: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.is_causal = heads, is_causal
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, T, W]` to the same."""
        rows, tokens, width = x.shape
        parts = self.attend(self.norm_1(x)).view(rows, tokens, 3, self.heads, -1)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=self.is_causal)
        x = x + self.dropout(self.project(seen.transpose(1, 2).reshape(rows, tokens, width)))
        added: Tensor = self.narrow(F.gelu(self.wide(self.norm_2(x))))
        outputs: Tensor = x + self.dropout(added)
        return outputs


class CharacterGpt(nn.Module):
    """A decoder of characters, begun as nanoGPT begins: normal weights of 0.02, tied head."""

    def __init__(self, characters: int, length: int, *, width: int, layers: int) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(characters, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, 4, is_causal=True) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            for layer in (block.project, block.narrow):
                nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * layers))  # type: ignore[arg-type, union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """Map characters `[B, T]` to logits `[B, T, characters]`."""
        h = self.embed(x) + self.place(torch.arange(x.shape[1]))
        logits: Tensor = self.norm(self.blocks(h)) @ self.embed.weight.T
        return logits


class Tokens(nn.Module):
    """A transformer over tokens that a linear layer makes; the mean of them is classified.

    Args:
        num_features: Numbers in a token.
        num_tokens: `T`.
        num_outputs: Classes.
        width: `W`.
        layers: Blocks.
        patch: Side of the squares that images are cut into; None: the rows are tokens already.
    """

    def __init__(
        self,
        num_features: int,
        num_tokens: int,
        num_outputs: int,
        *,
        width: int,
        layers: int,
        patch: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(num_features, width)
        self.place = nn.Parameter(0.02 * torch.randn(num_tokens, width))
        blocks = (Block(width, 4, is_causal=False, dropout=dropout) for _ in range(layers))
        self.blocks = nn.Sequential(*blocks)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map images `[B, C, S, S]` or tokens `[B, T, features]` to logits."""
        if self.patch is not None:
            x = F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)
        h = self.blocks(self.embed(x) + self.place)
        logits: Tensor = self.head(self.norm(h.mean(dim=1)))
        return logits


class Columns(nn.Module):
    """A transformer over the columns of a table, a token each (Gorishniy et al., 2021)."""

    def __init__(self, num_columns: int, num_outputs: int, *, width: int, layers: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(num_columns, width) / math.sqrt(width))
        self.tokens = Tokens(width, num_columns, num_outputs, width=width, layers=layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map rows `[B, columns]` to outputs."""
        outputs: Tensor = self.tokens(x[:, :, None] * self.scale)
        return outputs


class Residual(nn.Module):
    """Two convolutions with batch normalisation beside a short cut (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv_2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm_1, self.norm_2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        is_same = stride == 1 and inputs == outputs
        self.short = nn.Identity() if is_same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, S, S]` to `[B, outputs, S / stride, S / stride]`."""
        h = F.relu(self.norm_1(self.conv_1(x)))
        return F.relu(self.short(x) + self.norm_2(self.conv_2(h)))


def residual_net(channels: int, num_classes: int, *, width: int) -> nn.Module:
    """Build a small residual net."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        Residual(width, width, 1),
        Residual(width, 2 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, num_classes),
    )


def plain_convolutions(channels: int, num_classes: int, *, width: int) -> nn.Module:
    """Build convolutions without normalisation, with dropout before the head."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.LazyLinear(num_classes),
    )


class CharacterRecurrent(nn.Module):
    """A recurrent net over characters, as torch begins it."""

    def __init__(self, characters: int, *, width: int, kind: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.embed = nn.Embedding(characters, width)
        self.cells = kind(width, width, batch_first=True)
        self.head = nn.Linear(width, characters)

    def forward(self, x: Tensor) -> Tensor:
        """Map characters `[B, T]` to logits `[B, T, characters]`."""
        h, _ = self.cells(self.embed(x))
        logits: Tensor = self.head(h)
        return logits


def autoencoder(num_inputs: int, *, width: int, code: int) -> nn.Module:
    """Build a perceptron that has to pass through a narrow layer."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(num_inputs, width),
        nn.GELU(),
        nn.Linear(width, code),
        nn.Linear(code, width),
        nn.GELU(),
        nn.Linear(width, num_inputs),
    )


def perceptron(num_inputs: int, num_outputs: int, *, width: int) -> nn.Module:
    """Build a perceptron of three hidden layers."""
    return nn.Sequential(
        nn.Linear(num_inputs, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, num_outputs),
    )


class LowRank(nn.Module):
    """A frozen linear layer and a product of two narrow ones, begun at 0 (Hu et al., 2021)."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Add the two."""
        outputs: Tensor = self.layer(x) + self.up(self.down(x))
        return outputs


def with_low_rank(model: CharacterGpt, rank: int) -> CharacterGpt:
    """Freeze a decoder, and let narrow layers beside its attention be trained."""
    model.requires_grad_(False)
    for block in model.blocks:
        assert isinstance(block, Block)
        block.attend = LowRank(block.attend, rank)  # type: ignore[assignment]
        block.project = LowRank(block.project, rank)  # type: ignore[assignment]
    return model
