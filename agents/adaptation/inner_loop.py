"""The inner loop: a few steps of gradient descent from an initialisation, for one task.

Everything here is a function of one task, so that `torch.func.vmap` maps it over many, and can be
differentiated through as often as the network allows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.func import grad

from .episodes import Examples
from .networks import Network, Parameters

Loss = Callable[[Parameters], torch.Tensor]
"""A scalar of parameters."""

Rates = Parameters | float
"""A learning rate for all, or one for each element of each parameter."""


def support_loss(network: Network, examples: Examples) -> Loss:
    """Return the loss of a network on the examples of one task, as a function of parameters."""

    def loss(parameters: Parameters) -> torch.Tensor:
        return network.problem.loss(network(parameters, examples.inputs), examples.targets)

    return loss


def descend(
    loss: Loss,
    start: Parameters,
    rates: Rates,
    num_steps: int,
    *,
    is_first_order: bool = False,
) -> Parameters:
    """Take gradient steps.

    Args:
        loss: What is descended on.
        start: Parameters to start from; not changed.
        rates: Learning rate of all, or by name and element.
        num_steps: At least 0.
        is_first_order: Whether the steps count as constants when the result is differentiated, so
            that no second derivatives are taken.

    Returns:
        Parameters, as functions of `start` and `rates`.

    Example:
        >>> half_square = lambda parameters: parameters["w"].square().sum() / 2
        >>> descend(half_square, {"w": torch.tensor([8.0])}, 0.5, num_steps=3)
        {'w': tensor([1.])}
    """
    parameters = dict(start)
    for _ in range(num_steps):
        gradient = grad(loss)(parameters)
        if is_first_order:
            gradient = {name: value.detach() for name, value in gradient.items()}
        parameters = {
            name: value - _rate(rates, name) * gradient[name] for name, value in parameters.items()
        }
    return parameters


def _rate(rates: Rates, name: str) -> torch.Tensor | float:
    return rates if isinstance(rates, float) else rates[name]
