"""MAML: an initialisation from which a few steps on a new task go far.

Finn, Abbeel and Levine, "Model-agnostic meta-learning for fast adaptation of deep networks"
(2017). The query loss after the inner loop is differentiated through the inner loop. The
first-order form takes the inner gradients as constants, so that the direction is the query loss's
gradient where the inner loop ended.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch.func import vmap

from .base import Differentiable
from .episodes import Episodes, Examples
from .gradient_based import GradientBased, InnerLoopSettings
from .inner_loop import support_loss
from .networks import Parameters


class MAML(GradientBased, Differentiable):
    """See the module; arguments are those of `Algorithm`."""

    name = "maml"
    settings = InnerLoopSettings
    source = "Finn, Abbeel and Levine (2017)"
    is_first_order: ClassVar[bool] = False

    def loss(
        self, meta: Parameters, episodes: Episodes, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Differentiable.loss`."""

        def of_task(support: Examples, query: Examples) -> torch.Tensor:
            adapted = self.adapted(
                meta, support, self.inner.inner_steps, is_first_order=self.is_first_order
            )
            return support_loss(self.network, query)(adapted)

        mean = vmap(of_task)(episodes.support, episodes.query).mean()
        return mean, mean


class FirstOrderMAML(MAML):
    """MAML without second derivatives: cheaper, and often as good."""

    name = "first_order_maml"
    is_first_order = True
