"""What a source of few-shot tasks is.

Axes: `B` tasks, `S` support examples, `Q` query examples, `K` outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Kind, Split
from hpo_env.errors import ConfigurationError

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class FewShotTasks:
    """A batch of tasks.

    Attributes:
        support_inputs: `[B, S, ...]`, float32.
        support_targets: Classes int64 `[B, S]`, or values float32 `[B, S, K]`.
        query_inputs: `[B, Q, ...]`, float32.
        query_targets: Like those of the support.
    """

    support_inputs: Array
    support_targets: NDArray[Any]
    query_inputs: Array
    query_targets: NDArray[Any]


class FewShotSource(ABC):
    """A distribution of tasks of one shape, with tasks of its own on each side of the split.

    Args:
        num_shots: Support examples, of each class where there are classes; at least 1.
        num_queries: Query examples, of each class likewise; at least 1.

    Raises:
        ConfigurationError: A number is out of range.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]

    def __init__(self, *, num_shots: int, num_queries: int) -> None:
        for name, number in (("num_shots", num_shots), ("num_queries", num_queries)):
            if number < 1:
                raise ConfigurationError(f"{name} must be at least 1; got {number}")
        self.num_shots = num_shots
        self.num_queries = num_queries

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Axes of one input."""

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """`K`: classes of a task, or values that are predicted."""

    @abstractmethod
    def sample(self, split: Split, num_tasks: int, rng: np.random.Generator) -> FewShotTasks:
        """Draw tasks.

        Args:
            split: The side of the split.
            num_tasks: `B`, at least 1.
            rng: Everything drawn comes from here.
        """
