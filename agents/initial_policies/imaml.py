"""Implicit MAML over policies: adaptation is held near the start, and differentiated at its end.

Rajeswaran, Finn, Kakade and Levine, "Meta-learning with implicit gradients" (2019). The inner loop
descends on PPO's objective over all rollouts so far, plus `strength / 2 * |weights - start|^2`; the
query rollout's gradient `g` becomes `(I + H / strength)^-1 g`, with the Hessian `H` of the inner
objective at the adapted weights, by conjugate gradients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.func import grad, grad_and_value, vjp

from ..adaptation.base import MetaGradient
from ..adaptation.imaml import conjugate_gradients
from ..adaptation.inner_loop import Loss, descend
from ..adaptation.networks import Parameters
from .base import Visit
from .query_based import QueryBased
from .rollouts import Rollout
from .settings import QuerySettings


@dataclass(frozen=True, kw_only=True)
class ImplicitMAMLPolicySettings(QuerySettings):
    """The inner loop, and the linear system behind it.

    Args:
        inner_rate: Learning rate of the steps that adapt.
        inner_steps: Steps after each rollout.
        strength: Weight of the pull to the start.
        solver_steps: Steps of conjugate gradients.
    """

    inner_rate: float = 0.1
    inner_steps: int = 5
    strength: float = 1.0
    solver_steps: int = 5

    positive: ClassVar[tuple[str, ...]] = (*QuerySettings.positive, "strength")
    at_least: ClassVar[Mapping[str, float]] = {
        **QuerySettings.at_least,
        "inner_steps": 1,
        "solver_steps": 1,
    }


class ImplicitMAMLPolicy(QueryBased):
    """See the module; arguments are those of `Learner`."""

    name = "imaml"
    settings = ImplicitMAMLPolicySettings
    _told: ImplicitMAMLPolicySettings

    def adapted(
        self, current: Parameters, start: Parameters, rollouts: Sequence[Rollout]
    ) -> Parameters:
        """See `InitialPolicy.adapted`: some steps on all rollouts, with the pull."""
        fit, strength = self._mean(rollouts), self._told.strength

        def loss(parameters: Parameters) -> torch.Tensor:
            distance = sum((parameters[k] - start[k]).square().sum() for k in parameters)
            return fit(parameters) + 0.5 * strength * distance

        told = self._told
        adapted = descend(loss, current, told.inner_rate, told.inner_steps, is_first_order=True)
        return {name: value.detach() for name, value in adapted.items()}

    def gradient(self, visit: Visit) -> MetaGradient:
        """See `QueryBased.gradient`; adaptation is made again from the weights as they are."""
        start = {name: value.detach() for name, value in self.network.items()}
        adapted = start
        for count in range(1, len(visit.rollouts) + 1):
            adapted = self.adapted(adapted, start, visit.rollouts[:count])
        assert visit.query is not None
        direct, loss = grad_and_value(self.objective.on(visit.query))(adapted)
        times_hessian = vjp(grad(self._mean(visit.rollouts)), adapted)[1]

        def system(vector: Parameters) -> Parameters:
            (product,) = times_hessian(vector)
            return {k: vector[k] + product[k] / self._told.strength for k in vector}

        implicit = conjugate_gradients(system, direct, self._told.solver_steps)
        return MetaGradient(implicit, float(loss))

    def _mean(self, rollouts: Sequence[Rollout]) -> Loss:
        losses = [self.objective.on(rollout) for rollout in rollouts]
        return lambda parameters: torch.stack([loss(parameters) for loss in losses]).mean()
