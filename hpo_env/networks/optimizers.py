"""Optimisers whose every setting is a number of the lane's own.

SGD with momentum, AdamW, RMSprop and Adagrad are one formula with different coefficients, so that
lanes under different optimisers share one compiled step and one pass over the weights:

    g = clip * gradient + coupled_decay * w
    s = square_decay * s + square_gain * g^2
    d = sqrt(square_scale * s) + epsilon
    m = momentum * m + gain * (g / d if RMSprop else g)
    w = shrink * w - rate * (m if RMSprop else m / d)

SGD has `square_gain = 0` and `epsilon = 1`, so `d = 1`; Adagrad never forgets a square. Each equals
the `torch.optim` class named beside it in `OPTIMIZERS`, up to rounding.

Axes: `N` lanes, `U` updates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.errors import unknown_name

COEFFICIENTS = (
    "coupled_decay",
    "shrink",
    "square_decay",
    "square_gain",
    "square_scale",
    "epsilon",
    "momentum",
    "gain",
    "rate",
    "is_rmsprop",
)
_EPSILON = 1e-8
_LEAST_MOMENTUM = 1e-12
_ADAM_BETA2 = 0.999
_RMSPROP_ALPHA = 0.99
_ADAGRAD_EPSILON = 1e-10

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerInfo:
    """One optimiser.

    Args:
        name: Key in `OPTIMIZERS`.
        torch_class: The class of `torch.optim` that it equals.
        settings: Keyword arguments of that class (and of its param groups) for a learning rate,
            a weight decay and a momentum.
        coefficients: Its coefficients, each a number or `[U, N]`, from learning rate, weight decay
            and momentum `[N]` and the number of each update `[U, N]`, counted from 1.
        is_held_out: Whether it is kept from meta-training, to see how a policy does without having
            met it.
    """

    name: str
    torch_class: Callable[..., torch.optim.Optimizer]
    settings: Callable[[float, float, float], dict[str, Any]]
    coefficients: Callable[[Float64, Float64, Float64, Float64], dict[str, Float64 | float]]
    is_held_out: bool = False


def _sgd(
    lr: Float64, decay: Float64, momentum: Float64, update: Float64
) -> dict[str, Float64 | float]:
    return {
        "coupled_decay": decay,
        "shrink": 1.0,
        "square_decay": 0.0,
        "square_gain": 0.0,
        "square_scale": 0.0,
        "epsilon": 1.0,
        "momentum": momentum,
        "gain": 1.0,
        "rate": lr,
        "is_rmsprop": 0.0,
    }


def _adamw(
    lr: Float64, decay: Float64, momentum: Float64, update: Float64
) -> dict[str, Float64 | float]:
    return {
        "coupled_decay": 0.0,
        "shrink": 1.0 - lr * decay,
        "square_decay": _ADAM_BETA2,
        "square_gain": 1.0 - _ADAM_BETA2,
        "square_scale": 1.0 / (1.0 - _ADAM_BETA2**update),
        "epsilon": _EPSILON,
        "momentum": momentum,
        "gain": 1.0 - momentum,
        "rate": lr / (1.0 - momentum**update),
        "is_rmsprop": 0.0,
    }


def _rmsprop(
    lr: Float64, decay: Float64, momentum: Float64, update: Float64
) -> dict[str, Float64 | float]:
    return {
        "coupled_decay": decay,
        "shrink": 1.0,
        "square_decay": _RMSPROP_ALPHA,
        "square_gain": 1.0 - _RMSPROP_ALPHA,
        "square_scale": 1.0,
        "epsilon": _EPSILON,
        "momentum": momentum,
        "gain": 1.0,
        "rate": lr,
        "is_rmsprop": 1.0,
    }


def _adagrad(
    lr: Float64, decay: Float64, momentum: Float64, update: Float64
) -> dict[str, Float64 | float]:
    return {
        "coupled_decay": decay,
        "shrink": 1.0,
        "square_decay": 1.0,
        "square_gain": 1.0,
        "square_scale": 1.0,
        "epsilon": _ADAGRAD_EPSILON,
        "momentum": 0.0,
        "gain": 1.0,
        "rate": lr,
        "is_rmsprop": 0.0,
    }


def _with_momentum(lr: float, decay: float, momentum: float) -> dict[str, Any]:
    # torch keeps no momentum buffer while momentum is exactly 0, and RMSprop fails when it is
    # raised later. A momentum that is lost in rounding keeps the buffer.
    return {"lr": lr, "weight_decay": decay, "momentum": max(momentum, _LEAST_MOMENTUM)}


def _without_momentum(lr: float, decay: float, momentum: float) -> dict[str, Any]:
    return {"lr": lr, "weight_decay": decay}


def _with_betas(lr: float, decay: float, momentum: float) -> dict[str, Any]:
    return {"lr": lr, "weight_decay": decay, "betas": (momentum, _ADAM_BETA2)}


OPTIMIZERS: dict[str, OptimizerInfo] = {
    info.name: info
    for info in (
        OptimizerInfo(
            name="sgd",
            torch_class=torch.optim.SGD,
            settings=_with_momentum,
            coefficients=_sgd,
        ),
        OptimizerInfo(
            name="adamw",
            torch_class=torch.optim.AdamW,
            settings=_with_betas,
            coefficients=_adamw,
        ),
        OptimizerInfo(
            name="rmsprop",
            torch_class=torch.optim.RMSprop,
            settings=_with_momentum,
            coefficients=_rmsprop,
        ),
        OptimizerInfo(
            name="adagrad",
            torch_class=torch.optim.Adagrad,
            settings=_without_momentum,
            coefficients=_adagrad,
            is_held_out=True,
        ),
    )
}


def trained_optimizers() -> tuple[str, ...]:
    """List the optimisers that tasks draw from when none is asked for."""
    return tuple(name for name, info in OPTIMIZERS.items() if not info.is_held_out)


def optimizer_info(name: str) -> OptimizerInfo:
    """Look an optimiser up.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
    """
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[name]


def coefficients(
    names: Iterable[str],
    *,
    learning_rate: Float64,
    weight_decay: Float64,
    momentum: Float64,
    updates: NDArray[np.int64],
) -> Float64:
    """Compute the coefficients of several updates.

    Bias corrections are computed here, in float64, and not in the compiled step: powers of vectors
    and of their remainders round differently, and a lane would depend on its place.

    Args:
        names: The optimiser of each lane, N of them.
        learning_rate: `[N]`.
        weight_decay: `[N]`.
        momentum: `[N]`; the first beta of AdamW.
        updates: Number of each update `[U, N]`, the first of an episode being 1.

    Returns:
        Array `[U, N, len(COEFFICIENTS)]`.
    """
    lane_names = np.array(list(names))
    result = np.empty((*updates.shape, len(COEFFICIENTS)))
    for name in np.unique(lane_names):
        lanes = np.flatnonzero(lane_names == name)
        columns = OPTIMIZERS[str(name)].coefficients(
            learning_rate[lanes],
            weight_decay[lanes],
            momentum[lanes],
            updates[:, lanes].astype(np.float64),
        )
        for column, coefficient in enumerate(COEFFICIENTS):
            result[:, lanes, column] = columns[coefficient]
    return result


def update(
    weights: list[Tensor],
    momenta: list[Tensor],
    squares: list[Tensor],
    gradients: list[Tensor],
    gradient_scale: Tensor,
    settings: Mapping[str, Tensor],
) -> None:
    """Update weights and optimiser state in place.

    Args:
        weights: Each `[N, ...]`.
        momenta: `m`, like the weights; 0 at the start.
        squares: `s`, like the weights; 0 at the start.
        gradients: Like the weights.
        gradient_scale: What clipping leaves of them, `[N]`.
        settings: `COEFFICIENTS`, each `[N]`.
    """
    for w, m, s, gradient in zip(weights, momenta, squares, gradients, strict=True):
        c = {name: _beside(settings[name], w) for name in COEFFICIENTS}
        is_rmsprop = c["is_rmsprop"] > 0.5
        g = gradient * _beside(gradient_scale, w) + c["coupled_decay"] * w
        square = c["square_decay"] * s + c["square_gain"] * (g * g)
        scaled = 1.0 / (torch.sqrt(c["square_scale"] * square) + c["epsilon"])
        moment = c["momentum"] * m + c["gain"] * torch.where(is_rmsprop, g * scaled, g)
        direction = torch.where(is_rmsprop, moment, moment * scaled)
        w.copy_(c["shrink"] * w - c["rate"] * direction)
        m.copy_(moment)
        s.copy_(square)


def _beside(lane_values: Tensor, weight: Tensor) -> Tensor:
    """Reshape `[N]` so that it broadcasts against a weight `[N, ...]`."""
    return lane_values.reshape(-1, *[1] * (weight.dim() - 1))
