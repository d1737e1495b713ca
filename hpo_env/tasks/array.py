"""A trainer whose whole state is a few NumPy arrays with a lane axis and one generator a lane.

Families without gradients, and those with known answers, need no more. The noise of a lane comes
from its own generator, so a lane does not depend on its neighbours.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.seeding import stream
from hpo_env.tasks.base import Engine, Trainer
from hpo_env.telemetry import Telemetry


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

    Subclasses replace arrays of `state` and never write into them while they advance.

    Args:
        state: Arrays whose first axis is the lane.
    """

    def __init__(self, **state: NDArray[np.float64]) -> None:
        self.state = state
        num_lanes = len(next(iter(state.values())))
        self.rngs = [stream(0, lane) for lane in range(num_lanes)]
        self._before = dict(state)

    def advance(self, values: NDArray[np.float64]) -> tuple[Telemetry, NDArray[np.float64]]:
        """Train every lane for one decision interval; see `Trainer.advance`."""
        self._before = dict(self.state)
        return self._run_interval(values), values.copy()

    @abstractmethod
    def _run_interval(self, values: NDArray[np.float64]) -> Telemetry:
        """Run all lanes under values `[N, H]`, replace their state, and return telemetry `[N]`."""

    def roll_back(self, lanes: NDArray[np.int64]) -> None:
        """Put back the state before the last interval; see `Trainer.roll_back`."""
        for name, array in self._before.items():
            self.state[name] = self.state[name].copy()
            self.state[name][lanes] = array[lanes]

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
