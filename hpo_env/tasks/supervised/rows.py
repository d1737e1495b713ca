"""What a network is trained and measured on: rows of a table, or windows of a text.

Axes: R rows, `D` features, `L` tokens of a stretch of text, `S` of a window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.texts import Tokens


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Rows:
    """Rows of one side of a split.

    Args:
        x: Standardised inputs `[R, D]`, float32, finite.
        y: Labels or standardised targets `[R]`, float32.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.y)

    @property
    def width(self) -> int:
        """`D`."""
        return int(self.x.shape[1])

    @property
    def num_measured(self) -> int:
        """How many rows are measured: all."""
        return len(self)

    @property
    def variance(self) -> float:
        """Of the targets."""
        return float(self.y.var(dtype=np.float64))

    def take(self, chosen: NDArray[np.int64] | slice) -> Rows:
        """Return some rows."""
        return Rows(x=self.x[chosen], y=self.y[chosen])

    def measured(self, most: int | None = None) -> Rows:
        """Return the rows that a measurement takes, at most so many."""
        return self.take(slice(most))


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Windows:
    """Windows of a stretch of text: they begin at any token, and are their own targets.

    Args:
        tokens: `[L]`, uint8.
        width: `S`, at most `L`.
    """

    tokens: Tokens
    width: int

    def __len__(self) -> int:
        return len(self.tokens) - self.width + 1

    @property
    def num_measured(self) -> int:
        """How many windows are measured: so many that each token but the first is told once."""
        return (len(self.tokens) - 1) // (self.width - 1)

    @property
    def variance(self) -> float:
        """NaN: tokens are no numbers."""
        return float("nan")

    def take(self, starts: NDArray[np.int64]) -> Rows:
        """Return the windows `[R, S]` that begin at some tokens."""
        windows = self.tokens[starts[:, None] + np.arange(self.width)].astype(np.float32)
        return Rows(x=windows, y=windows)

    def measured(self, most: int | None = None) -> Rows:
        """Return the windows that a measurement takes, at most so many."""
        return self.take((self.width - 1) * np.arange(self.num_measured)[:most])
