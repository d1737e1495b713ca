"""Reptile: the initialisation moves towards where a plain training on each task ends.

Nichol, Achiam and Schulman, "On first-order meta-learning algorithms" (2018). There is no query
set: a task's examples are all trained on, in minibatches. The direction is the way from the adapted
weights back to the initialisation, divided by the length of the inner loop, which makes it a
gradient in size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.func import grad, vmap

from .base import MetaGradient
from .episodes import Episodes, Examples
from .gradient_based import GradientBased, InnerLoopSettings
from .inner_loop import support_loss
from .networks import Network, Parameters


@dataclass(frozen=True, kw_only=True)
class ReptileSettings(InnerLoopSettings):
    """The inner loop.

    Args:
        inner_rate: Learning rate of the steps that adapt, above 0.
        inner_steps: Minibatches in meta-training, at least 2: of a single one Reptile learns what
            training on all tasks at once does.
        minibatch_size: Examples of each, drawn without replacement, at least 1; a task's number of
            examples at most.
    """

    inner_rate: float = 0.01
    inner_steps: int = 8
    minibatch_size: int = 10

    at_least: ClassVar[dict[str, float]] = {"inner_steps": 2, "minibatch_size": 1}


class Reptile(GradientBased):
    """See the module; arguments are those of `Algorithm`."""

    name = "reptile"
    settings = ReptileSettings
    source = "Nichol, Achiam and Schulman (2018)"

    def __init__(self, network: Network, settings: ReptileSettings) -> None:
        super().__init__(network, settings)
        self._minibatch_size = settings.minibatch_size

    def gradient(
        self, meta: Parameters, episodes: Episodes, generator: torch.Generator
    ) -> MetaGradient:
        """See `Algorithm.gradient`; the loss is that of a query set which was trained on, too."""
        examples = episodes.joined()
        num_tasks, num_examples = examples.inputs.shape[:2]
        rows = self._drawn_rows(num_tasks, num_examples, generator)
        fixed = {name: value.detach() for name, value in meta.items()}

        def of_task(
            examples: Examples, query: Examples, rows: torch.Tensor
        ) -> tuple[Parameters, torch.Tensor]:
            parameters = fixed
            for step in range(self.inner.inner_steps):
                minibatch = Examples(*(axis[rows[step]] for axis in examples))
                gradient = grad(support_loss(self.network, minibatch))(parameters)
                parameters = {
                    name: value - self.inner.inner_rate * gradient[name]
                    for name, value in parameters.items()
                }
            return parameters, support_loss(self.network, query)(parameters)

        adapted, losses = vmap(of_task)(examples, episodes.query, rows)
        length = self.inner.inner_rate * self.inner.inner_steps
        direction = {k: (value - adapted[k].mean(0)) / length for k, value in fixed.items()}
        return MetaGradient(direction, float(losses.mean()))

    def _drawn_rows(
        self, num_tasks: int, num_examples: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Draw the minibatches of each task: int64 `[B, steps, minibatch]`."""
        shape = (num_tasks, self.inner.inner_steps, num_examples)
        order = torch.rand(shape, generator=generator).argsort(-1)
        return order[..., : self._minibatch_size]
