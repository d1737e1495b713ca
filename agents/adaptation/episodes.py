"""Few-shot tasks as tensors: the examples that a model adapts to, and those that judge it.

Axes: `B` tasks, `S` support examples, `Q` query examples; inputs and targets have axes of their own
behind these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from hpo_env.errors import ConfigurationError


class Examples(NamedTuple):
    """Inputs and what belongs to them. A tuple, so that `torch.func` maps over it.

    Attributes:
        inputs: float `[B, S, ...]`.
        targets: Classes, int64 `[B, S]`, or values, float `[B, S, K]`.
    """

    inputs: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class Episodes:
    """A batch of tasks.

    Args:
        support: What a model adapts to, `S` examples a task.
        query: What it is judged by afterwards, `Q` examples a task.

    Raises:
        ConfigurationError: The numbers of tasks or of examples do not fit together.
    """

    support: Examples
    query: Examples

    def __post_init__(self) -> None:
        """Check that all parts speak of the same tasks."""
        for name, examples in (("support", self.support), ("query", self.query)):
            if examples.inputs.shape[:2] != examples.targets.shape[:2]:
                raise ConfigurationError(
                    f"{name}: inputs and targets must begin with the same two axes, tasks and "
                    f"examples; got {tuple(examples.inputs.shape)} and "
                    f"{tuple(examples.targets.shape)}"
                )
            if examples.inputs.shape[1] == 0:
                raise ConfigurationError(f"{name}: a task must have at least one example; got none")
        if len(self.support.inputs) != len(self.query.inputs):
            raise ConfigurationError(
                "support and query must hold the same tasks; "
                f"got {len(self.support.inputs)} and {len(self.query.inputs)}"
            )

    @property
    def num_tasks(self) -> int:
        """`B`."""
        return len(self.support.inputs)

    def joined(self) -> Examples:
        """Return all examples of each task, support before query: `[B, S + Q, ...]`."""
        return Examples(
            torch.cat([self.support.inputs, self.query.inputs], dim=1),
            torch.cat([self.support.targets, self.query.targets], dim=1),
        )
