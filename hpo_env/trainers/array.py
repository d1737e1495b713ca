"""A trainer whose whole state is a few NumPy arrays with a lane axis and one generator a lane.

Families without gradients, and those with known answers, need no more. The noise of a lane comes
from its own generator, so a lane does not depend on its neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.seeding import stream
from hpo_env.tasks.base import Engine, Trainer


def check_array_engine(family: str, engine: Engine, device: str) -> None:
    """Refuse engines and devices that a family made of NumPy arrays does not have.

    Raises:
        ConfigurationError: The engine is not "auto" or "eager", or the device is not "cpu".
    """
    if engine not in ("auto", "eager") or device != "cpu":
        raise ConfigurationError(
            f"task family {family!r} runs on NumPy: engine must be 'auto' or 'eager' and device "
            f"'cpu'; got engine={engine!r}, device={device!r}"
        )


class ArrayTrainer(Trainer):
    """Keeps `state` (arrays `[N, ...]`) and one generator a lane; subclasses do the arithmetic.

    Args:
        state: Arrays whose first axis is the lane.
    """

    def __init__(self, **state: NDArray[np.float64]) -> None:
        self.state = state
        num_lanes = len(next(iter(state.values())))
        self.rngs = [stream(0, lane) for lane in range(num_lanes)]

    def snapshot(self, lanes: NDArray[np.int64]) -> Any:
        """Copy the arrays and generator states of some lanes."""
        arrays = {name: array[lanes].copy() for name, array in self.state.items()}
        return arrays, [self.rngs[lane].bit_generator.state for lane in lanes]

    def restore(self, lanes: NDArray[np.int64], snapshot: Any) -> None:
        """Put a snapshot of n lanes into n lanes."""
        arrays, states = snapshot
        for name, array in arrays.items():
            self.state[name][lanes] = array
        for lane, state in zip(lanes, states, strict=True):
            self.rngs[lane].bit_generator.state = state

    def draw_normal(self, *shape: int) -> NDArray[np.float64]:
        """Draw standard normal noise for every lane from its own generator, `[N, *shape]`."""
        return np.stack([rng.standard_normal(shape) for rng in self.rngs])
