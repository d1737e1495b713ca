"""A cell of long short-term memory as a function of its parameters, to be mapped over tasks.

Hochreiter and Schmidhuber (1997), with forget gates (Gers et al. 2000) whose bias starts at 1.

Axes: `R` rows at once, `I` inputs, `U` units.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn import functional

from .networks import Parameters


class CellState(NamedTuple):
    """What a cell carries from step to step.

    Attributes:
        output: `[R, U]`.
        memory: `[R, U]`.
    """

    output: torch.Tensor
    memory: torch.Tensor


def drawn_cell(
    name: str, num_inputs: int, num_units: int, generator: torch.Generator
) -> Parameters:
    """Draw a cell's parameters, uniform within `1 / sqrt(U)`, under `name.weight|bias`."""
    bound = 1.0 / math.sqrt(num_units)
    weight = torch.empty(4 * num_units, num_inputs + num_units)
    bias = torch.zeros(4 * num_units)
    bias[num_units : 2 * num_units] = 1.0
    return {
        f"{name}.weight": weight.uniform_(-bound, bound, generator=generator),
        f"{name}.bias": bias,
    }


def empty_state(num_rows: int, num_units: int) -> CellState:
    """Return the state before the first step."""
    return CellState(torch.zeros(num_rows, num_units), torch.zeros(num_rows, num_units))


def cell_step(
    parameters: Parameters, name: str, inputs: torch.Tensor, state: CellState
) -> CellState:
    """Read inputs `[R, I]` and return the next state."""
    seen = torch.cat([inputs, state.output], dim=-1)
    gates = functional.linear(seen, parameters[f"{name}.weight"], parameters[f"{name}.bias"])
    write, forget, read, content = gates.chunk(4, dim=-1)
    memory = forget.sigmoid() * state.memory + write.sigmoid() * content.tanh()
    return CellState(read.sigmoid() * memory.tanh(), memory)
