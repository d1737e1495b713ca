"""The memory of a policy: one layer of LSTM between the observation and the perceptron.

Hochreiter and Schmidhuber, "Long short-term memory" (1997), with the forget gate of Gers,
Schmidhuber and Cummins, "Learning to forget" (2000), laid out as torch does:

    i, f, g, o = split(input_weight x + hidden_weight h + bias)
    c' = sigmoid(f) c + sigmoid(i) tanh(g)
    h' = sigmoid(o) tanh(c')

Needs numpy alone: it runs inside a user's training loop.

Axes: `N` lanes, `D` observation fields, `W` width of the memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError

Array = NDArray[np.float32]

LstmState = tuple[Array, Array]
"""What is remembered: hidden state and cell, float32 `[N, W]` each."""

NUM_GATES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Lstm:
    """A layer of LSTM.

    Args:
        input_weight: float32 `[4 W, D]`; its rows are those of i, f, g and o, one after the other.
        hidden_weight: float32 `[4 W, W]`.
        bias: float32 `[4 W]`, the sum of torch's two.

    Raises:
        ConfigurationError: A shape, a dtype or a value contradicts the above.

    Example:
        >>> still = Lstm(
        ...     input_weight=np.zeros((4, 2), dtype=np.float32),
        ...     hidden_weight=np.zeros((4, 1), dtype=np.float32),
        ...     bias=np.array([0, 0, 1, 0], dtype=np.float32),
        ... )
        >>> hidden, (_, cell) = still.step(np.zeros((1, 2)), still.start(1))
        >>> print(hidden.round(3), cell.round(3))  # the cell: tanh(1) / 2
        [[0.182]] [[0.381]]
    """

    input_weight: Array
    hidden_weight: Array
    bias: Array

    def __post_init__(self) -> None:
        """Check the arrays against each other."""
        if self.input_weight.ndim != 2 or self.bias.size % NUM_GATES or not self.bias.size:
            raise ConfigurationError(
                "a memory must have an input weight [4 W, D] and a bias [4 W]; got shapes "
                f"{self.input_weight.shape} and {self.bias.shape}"
            )
        shapes = tensor_shapes(self.input_weight.shape[1], self.width)
        for name, tensor in self.tensors().items():
            if tensor.dtype != np.float32 or tensor.shape != shapes[name]:
                raise ConfigurationError(
                    f"{name} must be float32 {shapes[name]}; got {tensor.dtype} {tensor.shape}"
                )
            if not np.isfinite(tensor).all():
                raise ConfigurationError(f"{name} must be finite; has the agent diverged?")

    @cached_property
    def _weight(self) -> NDArray[np.float64]:
        """Both weights in the order of the product, `[D + W, 4 W]`."""
        both = np.concatenate([self.input_weight, self.hidden_weight], axis=1)
        return np.asarray(both.T.astype(np.float64, order="C"))

    @property
    def width(self) -> int:
        """`W`."""
        return self.bias.size // NUM_GATES

    def tensors(self) -> dict[str, Array]:
        """Name the arrays, as `tensor_shapes` does."""
        return {
            "memory.input_weight": self.input_weight,
            "memory.hidden_weight": self.hidden_weight,
            "memory.bias": self.bias,
        }

    def start(self, num_lanes: int) -> LstmState:
        """Return the memory of nothing, for N lanes."""
        nothing = np.zeros((num_lanes, self.width), dtype=np.float32)
        return nothing, nothing

    def step(
        self, inputs: NDArray[np.float64], state: LstmState
    ) -> tuple[NDArray[np.float64], LstmState]:
        """Take in one observation a lane.

        What is remembered is rounded to float32, so that sums in another order, of other lanes
        beside these, do not add up over the steps.

        Args:
            inputs: `[N, D]`.
            state: Of the same lanes.

        Returns:
            Hidden state `[N, W]`, and what is remembered.

        Raises:
            ConfigurationError: The state belongs to other lanes, or to another memory.
        """
        hidden, cell = state
        if hidden.shape != (len(inputs), self.width) or cell.shape != hidden.shape:
            raise ConfigurationError(
                f"the state of a policy must have shape {(len(inputs), self.width)}, as "
                f"Policy.start makes it for so many lanes; got {hidden.shape} and {cell.shape}"
            )
        gates = np.concatenate([inputs, hidden], axis=1) @ self._weight + self.bias
        written, kept, new, shown = np.split(gates, NUM_GATES, axis=1)
        remembered = _sigmoid(kept) * cell + _sigmoid(written) * np.tanh(new)
        told = (_sigmoid(shown) * np.tanh(remembered)).astype(np.float32)
        return told.astype(np.float64), (told, remembered.astype(np.float32))


def tensor_shapes(num_fields: int, width: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array, by its name in a policy file."""
    rows = NUM_GATES * width
    return {
        "memory.input_weight": (rows, num_fields),
        "memory.hidden_weight": (rows, width),
        "memory.bias": (rows,),
    }


def _sigmoid(x: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))  # without overflow, unlike 1 / (1 + exp(-x))
