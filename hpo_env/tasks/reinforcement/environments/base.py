"""What a type of environment is, and its obvious form: one environment in NumPy.

The kernel has the same rules in C++ (`native/`); both draw the same random numbers, so that one
follows the other step by step, up to rounding in float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.base import Split

Floats = NDArray[np.float32]

MAX_PHYSICS = 12
"""Numbers that make a type a task, at most."""

_MASK = (1 << 64) - 1


class Random:
    """SplitMix64, the generator of the kernel; one state a stream.

    Args:
        state: Any whole number from 0 to 2^64 - 1.

    Example:
        >>> bool(Random(1).uniform() == Random(1).uniform())
        True
    """

    def __init__(self, state: int) -> None:
        self.state = int(state) & _MASK

    def bits(self) -> int:
        """Draw 64 bits."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> np.float32:
        """Draw from `[low, high)`."""
        unit = np.float32((self.bits() >> 40) * (1.0 / 16777216.0))
        start, end = np.float32(low), np.float32(high)
        return np.float32(start + (end - start) * unit)

    def below(self, count: int) -> int:
        """Draw a whole number from 0 to `count - 1`."""
        return self.bits() % count

    def normal(self) -> np.float32:
        """Draw from the standard normal distribution."""
        size = np.sqrt(np.float32(-2.0) * np.log(np.float32(1.0) - self.uniform()))
        return np.float32(size * np.cos(np.float32(2.0 * np.pi) * self.uniform()))


class Environment(ABC):
    """One environment of a type.

    Args:
        physics: The numbers that make the type a task, of the type's own meaning.
        random: Where all that is random in it is drawn from.

    Attributes:
        state: All that it remembers, float32 `[state_size]`, laid out as in the kernel.
    """

    state_size: ClassVar[int]
    observation_size: ClassVar[int]
    num_outputs: ClassVar[int]
    """Discrete actions, or dimensions of a continuous one."""
    is_discrete: ClassVar[bool] = True
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 0.0
    """Bounds of continuous actions, in every dimension."""
    max_steps: ClassVar[int]
    """The time limit: an episode is cut here, and not ended."""

    def __init__(self, physics: tuple[float, ...], random: Random) -> None:
        self.physics = np.array(physics, dtype=np.float32)
        self.random = random
        self.state = np.zeros(self.state_size, dtype=np.float32)

    @abstractmethod
    def reset(self) -> None:
        """Begin an episode."""

    @abstractmethod
    def observe(self) -> Floats:
        """Return what a learner sees, float32 `[observation_size]`, a fresh array."""

    @abstractmethod
    def step(self, action: Floats) -> tuple[float, bool]:
        """Act.

        Args:
            action: Within the bounds, float32 `[num_outputs]`; of discrete actions, the number of
                the chosen one `[1]`.

        Returns:
            The reward, and whether the episode has ended by the rules; the time limit is not one.
        """


@dataclass(frozen=True, kw_only=True)
class EnvironmentType:
    """A type of environment as the family knows it.

    Args:
        name: Stable name.
        help: What is to be done, in one line.
        rules: The class with its rules.
        physics: The finite list of physics: name to numbers, the first being the usual one.
        split: The side on which it is, for good.
        gymnasium: Id of the environment of Gymnasium that it equals under its first physics; "" for
            none.
    """

    name: str
    help: str
    rules: type[Environment]
    physics: Mapping[str, tuple[float, ...]] = field(hash=False)
    split: Split = "train"
    gymnasium: str = ""
