"""What MAML and its kin share: the meta-parameters hold an initialisation, and steps adapt it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.func import vmap

from ..learners.settings import Settings
from .base import Algorithm
from .episodes import Examples
from .inner_loop import Loss, Rates, descend, support_loss
from .networks import Network, Parameters


@dataclass(frozen=True, kw_only=True)
class InnerLoopSettings(Settings):
    """The inner loop.

    Args:
        inner_rate: Learning rate of the steps that adapt, above 0.
        inner_steps: How many of them there are in meta-training, at least 1; `predict` may be
            told otherwise.
    """

    inner_rate: float = 0.01
    inner_steps: int = 5

    positive: ClassVar[tuple[str, ...]] = ("inner_rate",)
    at_least: ClassVar[dict[str, float]] = {"inner_steps": 1}


class GradientBased(Algorithm):
    """An algorithm that adapts an initialisation by gradient steps on the support set.

    The meta-parameters are those of the network, unless a subclass adds others.
    """

    is_adapted_by_steps = True

    def __init__(self, network: Network, settings: InnerLoopSettings) -> None:
        super().__init__(network, settings)
        self.inner = settings

    def initial(self, generator: torch.Generator) -> Parameters:
        """See `Algorithm.initial`."""
        return self.network.initial(generator)

    def initialisation(self, meta: Parameters, support: Examples) -> Parameters:
        """Return what the network starts from in one task `[S, ...]`."""
        return meta

    def rates(self, meta: Parameters) -> Rates:
        """Return the learning rates of the inner loop."""
        return self.inner.inner_rate

    def inner_loss(self, start: Parameters, support: Examples) -> Loss:
        """Return what the inner loop descends on, for one task."""
        return support_loss(self.network, support)

    def adapted(
        self,
        meta: Parameters,
        support: Examples,
        num_steps: int,
        *,
        is_first_order: bool = False,
    ) -> Parameters:
        """Return the network's parameters after adaptation to one task `[S, ...]`."""
        start = self.initialisation(meta, support)
        return descend(
            self.inner_loss(start, support),
            start,
            self.rates(meta),
            num_steps,
            is_first_order=is_first_order,
        )

    def predict(
        self,
        meta: Parameters,
        support: Examples,
        inputs: torch.Tensor,
        *,
        num_steps: int | None = None,
    ) -> torch.Tensor:
        """See `Algorithm.predict`."""
        steps = self.inner.inner_steps if num_steps is None else num_steps
        fixed = {name: value.detach() for name, value in meta.items()}

        def of_task(examples: Examples, queries: torch.Tensor) -> torch.Tensor:
            adapted = self.adapted(fixed, examples, steps, is_first_order=True)
            return self.network(adapted, queries)

        return vmap(of_task)(support, inputs)
