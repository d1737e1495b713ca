"""What is predicted from what: the facts that all algorithms share, and the loss that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional

from hpo_env.errors import ConfigurationError
from hpo_env.few_shot import FewShotSource

Kind = Literal["classification", "regression"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The shape of every task of a kind.

    Args:
        kind: `classification` (targets are classes 0..K-1) or `regression` (values `[K]`).
        input_shape: Axes of one input: `(F,)` features, or `(C, H, W)` an image.
        num_outputs: `K`, classes or values, at least 1; at least 2 classes.

    Raises:
        ConfigurationError: A shape is empty, or there is nothing to tell apart.
    """

    kind: Kind
    input_shape: tuple[int, ...]
    num_outputs: int

    def __post_init__(self) -> None:
        """Check the shapes."""
        if self.kind not in ("classification", "regression"):
            raise ConfigurationError(
                f"kind must be 'classification' or 'regression'; got {self.kind!r}"
            )
        if len(self.input_shape) not in (1, 3) or min(self.input_shape) < 1:
            raise ConfigurationError(
                "input_shape must be (features,) or (channels, height, width), each at least 1; "
                f"got {self.input_shape}"
            )
        lowest = 2 if self.is_classification else 1
        if self.num_outputs < lowest:
            raise ConfigurationError(
                f"num_outputs must be at least {lowest} in {self.kind}; got {self.num_outputs}"
            )

    @property
    def is_classification(self) -> bool:
        """Whether targets are classes."""
        return self.kind == "classification"

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of a task: cross entropy in nats, or squared error.

        Args:
            outputs: Logits or values, `[S, K]`.
            targets: Classes int64 `[S]`, or values `[S, K]`.
        """
        if self.is_classification:
            return functional.cross_entropy(outputs, targets)
        return functional.mse_loss(outputs, targets)

    def encoded(self, targets: torch.Tensor) -> torch.Tensor:
        """Return targets as a network reads them: one-hot classes or the values, `[..., K]`."""
        if self.is_classification:
            return functional.one_hot(targets, self.num_outputs).to(torch.get_default_dtype())
        return targets

    def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Judge predictions as papers do: accuracy in [0, 1], or squared error, a task: `[B]`.

        Args:
            outputs: `[B, Q, K]`.
            targets: `[B, Q]` or `[B, Q, K]`.
        """
        if self.is_classification:
            return (outputs.argmax(-1) == targets).float().mean(-1)
        return (outputs - targets).square().mean((-2, -1))

    @property
    def is_higher_better(self) -> bool:
        """Whether a higher `score` is a better one."""
        return self.is_classification


def problem_of(source: FewShotSource) -> Problem:
    """Return what a source's tasks ask for."""
    return Problem(kind=source.kind, input_shape=source.input_shape, num_outputs=source.num_outputs)
