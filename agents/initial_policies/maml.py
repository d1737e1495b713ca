"""MAML over policies: the start from which a gradient step on a data set helps most.

Finn, Abbeel and Levine, "Model-agnostic meta-learning for fast adaptation of deep networks" (2017),
section 4.2; here with PPO's objective in both loops. The first-order form takes inner gradients as
constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from ..adaptation.base import MetaGradient
from ..adaptation.inner_loop import Rates, descend
from ..adaptation.networks import Parameters
from .base import Visit
from .query_based import QueryBased
from .rollouts import Rollout
from .settings import QuerySettings


class MAMLPolicy(QueryBased):
    """See the module; arguments are those of `Learner`."""

    name = "maml"
    settings = QuerySettings
    is_first_order: ClassVar[bool] = False

    def rates(self, learned: Parameters) -> Rates:
        """Return the inner learning rates."""
        return self._told.inner_rate

    def adapted(
        self, current: Parameters, start: Parameters, rollouts: Sequence[Rollout]
    ) -> Parameters:
        """See `InitialPolicy.adapted`: a step of gradient descent."""
        fixed = {name: value.detach() for name, value in self.learned.items()}
        adapted = self._stepped(current, rollouts[-1], self.rates(fixed))
        return {name: value.detach() for name, value in adapted.items()}

    def gradient(self, visit: Visit) -> MetaGradient:
        """See `QueryBased.gradient`."""
        leaves = {n: value.detach().requires_grad_() for n, value in self.learned.items()}
        parameters = {name: leaves[name] for name in self.network}
        for rollout in visit.rollouts:
            parameters = self._stepped(parameters, rollout, self.rates(leaves))
        assert visit.query is not None
        loss = self.objective.on(visit.query)(parameters)
        found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        return MetaGradient(dict(zip(leaves, found, strict=True)), float(loss.detach()))

    def _stepped(self, parameters: Parameters, rollout: Rollout, rates: Rates) -> Parameters:
        loss = self.objective.on(rollout)
        return descend(loss, parameters, rates, 1, is_first_order=self.is_first_order)


class FirstOrderMAMLPolicy(MAMLPolicy):
    """MAML without second derivatives."""

    name = "first_order_maml"
    is_first_order = True
