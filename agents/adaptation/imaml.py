"""Implicit MAML: the meta-gradient follows from where the inner loop ends, not from its way.

Rajeswaran, Finn, Kakade and Levine, "Meta-learning with implicit gradients" (2019). The inner loop
minimises the support loss plus `strength / 2 * |weights - initialisation|^2`. Where it has arrived,
the query loss's gradient with respect to the initialisation is `(I + H / strength)^-1 g`, with the
Hessian `H` of the support loss and the gradient `g` of the query loss, both at the adapted weights;
conjugate gradients solve for it. Memory does not grow with the number of inner steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.func import grad, grad_and_value, vjp, vmap

from .base import MetaGradient
from .episodes import Episodes, Examples
from .gradient_based import GradientBased, InnerLoopSettings
from .inner_loop import Loss, support_loss
from .networks import Network, Parameters

_TINY = 1e-20  # what is this small is zero, and not divided by


@dataclass(frozen=True, kw_only=True)
class IMAMLSettings(InnerLoopSettings):
    """The inner loop, and the linear system behind it.

    Args:
        inner_rate: Learning rate of the steps that adapt, above 0.
        inner_steps: Steps towards the inner minimum, at least 1: the formula holds where they have
            come near to it.
        strength: Weight of the pull to the initialisation, above 0.
        solver_steps: Steps of conjugate gradients, at least 1.
    """

    inner_rate: float = 0.02
    inner_steps: int = 16
    strength: float = 2.0
    solver_steps: int = 5

    positive: ClassVar[tuple[str, ...]] = ("inner_rate", "strength")
    at_least: ClassVar[dict[str, float]] = {"inner_steps": 1, "solver_steps": 1}


class ImplicitMAML(GradientBased):
    """See the module; arguments are those of `Algorithm`."""

    name = "imaml"
    settings = IMAMLSettings
    source = "Rajeswaran, Finn, Kakade and Levine (2019)"

    def __init__(self, network: Network, settings: IMAMLSettings) -> None:
        super().__init__(network, settings)
        self._strength = settings.strength
        self._solver_steps = settings.solver_steps

    def inner_loss(self, start: Parameters, support: Examples) -> Loss:
        """See `GradientBased.inner_loss`: the support loss and the pull to the initialisation."""
        fit = support_loss(self.network, support)

        def loss(parameters: Parameters) -> torch.Tensor:
            distance = sum((parameters[k] - start[k]).square().sum() for k in parameters)
            return fit(parameters) + 0.5 * self._strength * distance

        return loss

    def gradient(
        self, meta: Parameters, episodes: Episodes, generator: torch.Generator
    ) -> MetaGradient:
        """See `Algorithm.gradient`."""
        fixed = {name: value.detach() for name, value in meta.items()}

        def of_task(support: Examples, query: Examples) -> tuple[Parameters, torch.Tensor]:
            adapted = self.adapted(fixed, support, self.inner.inner_steps, is_first_order=True)
            direct, loss = grad_and_value(support_loss(self.network, query))(adapted)
            times_hessian = vjp(grad(support_loss(self.network, support)), adapted)[1]

            def system(vector: Parameters) -> Parameters:
                (product,) = times_hessian(vector)
                return {k: vector[k] + product[k] / self._strength for k in vector}

            return conjugate_gradients(system, direct, self._solver_steps), loss

        implicit, losses = vmap(of_task)(episodes.support, episodes.query)
        mean = {name: value.mean(0) for name, value in implicit.items()}
        return MetaGradient(mean, float(losses.mean()))


def conjugate_gradients(
    system: Callable[[Parameters], Parameters], right: Parameters, num_steps: int
) -> Parameters:
    """Solve `system(x) = right` for a symmetric positive definite system.

    Args:
        system: Multiplies a vector, whose parts are tensors by name.
        right: The right-hand side.
        num_steps: Steps from 0; as many as there are unknowns are exact.

    Returns:
        The solution, by the same names. Hestenes and Stiefel (1952). No step is made where the
        system turns out to curve downwards, as a Hessian may far from a minimum.

    Example:
        >>> times = lambda vector: {"x": torch.tensor([2.0, 4.0]) * vector["x"]}
        >>> conjugate_gradients(times, {"x": torch.tensor([2.0, 2.0])}, num_steps=2)
        {'x': tensor([1.0000, 0.5000])}
    """
    solution = {name: torch.zeros_like(value) for name, value in right.items()}
    residual, direction = right, right
    squared = _dot(residual, residual)
    for _ in range(num_steps):
        product = system(direction)
        curvature = _dot(direction, product)
        length = torch.where(curvature > _TINY, squared / curvature.clamp_min(_TINY), 0.0)
        solution = _sum(solution, length, direction)
        residual = _sum(residual, -length, product)
        before, squared = squared, _dot(residual, residual)
        direction = _sum(residual, squared / before.clamp_min(_TINY), direction)
    return solution


def _dot(left: Parameters, right: Parameters) -> torch.Tensor:
    return torch.stack([(left[name] * right[name]).sum() for name in left]).sum()


def _sum(left: Parameters, factor: torch.Tensor, right: Parameters) -> Parameters:
    return {name: value + factor * right[name] for name, value in left.items()}
