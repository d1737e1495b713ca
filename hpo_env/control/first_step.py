"""How far a first update moves the weights of a network, which is known before it is made.

An optimiser that divides by the size of gradients (Adam and its kind, Lion, Muon) makes its first
update as large as its rate says, whatever the loss. A matrix whose elements have the root mean
square `s` lengthens what passes through it by about `s (√m + √n)` (the largest singular value of a
random matrix); an update in which every element moves by the rate, all of them for the same
minibatch, by `rate √(m n)`. Their ratio is the relative step: at 1, one update changes what a layer
puts out by as much as it puts out. It does not depend on how wide the network is or how it was
begun, which is why rates that are chosen by it carry over (Yang et al., "A Spectral Condition for
Feature Learning", 2023).

The step of SGD is as long as its gradient, and so is known when that is: at the first update, a
moment before it is made. The gradient of a minibatch is of nearly one rank, so that its norm stands
for its largest singular value. With momentum, updates that agree add up to `1 / (1 - momentum)` of
one, and the first ones do agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

Group = Mapping[str, Any]
StepOfMatrix = Callable[[Group, int, int, float], float]
"""From param group, rows, columns and the gradient's norm (NaN where it does not matter) to the
largest singular value of an update at rate 1."""


def _of_signs(group: Group, rows: int, columns: int, gradient: float) -> float:
    return math.sqrt(rows * columns)


def _of_muon(group: Group, rows: int, columns: int, gradient: float) -> float:
    # What is orthogonal has singular values of 1.
    if group.get("adjust_lr_fn") == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, rows / columns))


def _of_gradients(group: Group, rows: int, columns: int, gradient: float) -> float:
    return gradient / (1.0 - min(float(group.get("momentum", 0.0)), _HIGHEST_MOMENTUM))


_HIGHEST_MOMENTUM = 0.99  # updates do not agree for longer than a hundred
_STEPS: dict[str, StepOfMatrix] = {
    "Adam": _of_signs,
    "AdamW": _of_signs,
    "NAdam": _of_signs,
    "Adamax": _of_signs,
    "AdEMAMix": _of_signs,
    "AdamWScheduleFree": _of_signs,
    "FusedAdam": _of_signs,
    "DeepSpeedCPUAdam": _of_signs,
    "Lion": _of_signs,
    "RMSprop": _of_signs,  # its first ten or so are larger still, and shrink by themselves
    "Muon": _of_muon,
}
"""By the name of the optimiser's class, or of one that it derives from."""

_BY_GRADIENTS = frozenset({"SGD", "FusedSGD"})
"""Names of classes whose step is a multiple of the gradient; what derives from one often scales
it."""

_USUAL_RATES = {"Lion": 1e-3, "Muon": 1e-2, "RMSprop": 3e-4, "SGD": 1e-2}
_USUAL_RATE = 3e-3
"""Of Adam and its kind. From which of 3e-4, 1e-3, 3e-3 and 1e-2 runs of the validation
workloads ended lowest: `docs/real-loops-experiments.md`."""
_LARGEST_STEP = 1.0  # at which the weights are as good as drawn anew
_UNBEARABLE_STEP = 2.0
"""From 3 on, runs of four of the seven validation workloads end higher; below 1.2, of none."""


def bearable_rate(
    optimizers: Sequence[torch.optim.Optimizer], *, loss_scale: Tensor | float | None = None
) -> float | None:
    """Return the highest learning rate whose first update does not wreck the weights.

    Args:
        optimizers: With the rates that are asked about. They and their param groups keep the ratios
            of their rates; the rate is that of the largest.
        loss_scale: See `relative_step`.

    Returns:
        None where it is not known, see `relative_step`; and where updates were made already, as
        those that come move the weights less.
    """
    if any(optimizer.state for optimizer in optimizers):
        return None
    step = relative_step(optimizers, loss_scale=loss_scale)
    return None if not step else _UNBEARABLE_STEP * max(map(_rate, optimizers)) / step


def learned_rate(
    optimizers: Sequence[torch.optim.Optimizer], *, loss_scale: Tensor | float | None = None
) -> float | None:
    """Return the learning rate to begin at where nothing is known of the problem.

    It goes by the kind of the optimiser with the largest rate, and is lower where its first update
    would be larger than the weights are.

    Args:
        optimizers: See `bearable_rate`.
        loss_scale: See `relative_step`.

    Returns:
        None for optimisers of no known kind.
    """
    largest = max(optimizers, key=_rate)
    usual = next((_USUAL_RATES[n] for n in _names(largest) if n in _USUAL_RATES), None)
    if usual is None and _step_of(largest, has_gradients=False) is None:
        return None
    usual = _USUAL_RATE if usual is None else usual
    step = relative_step(optimizers, loss_scale=loss_scale)
    return min(usual, _LARGEST_STEP * _rate(largest) / step) if step else usual


def better_rate(
    optimizers: Sequence[torch.optim.Optimizer], *, loss_scale: Tensor | float
) -> float | None:
    """Return the learned rate where the first update, about to be made, would wreck the weights.

    Args:
        optimizers: With gradients, and the rates that it would be made with.
        loss_scale: See `relative_step`.

    Returns:
        None where it would not, and where nothing is known.
    """
    highest = bearable_rate(optimizers, loss_scale=loss_scale)
    if highest is None or max(map(_rate, optimizers)) <= highest:
        return None
    return learned_rate(optimizers, loss_scale=loss_scale)


def relative_step(
    optimizers: Sequence[torch.optim.Optimizer], *, loss_scale: Tensor | float | None = None
) -> float | None:
    """Return the relative step of the first update, the mean over all weights of matrices.

    Args:
        optimizers: At their first update, with the rates that it would be made with.
        loss_scale: What the loss was multiplied by before the gradients were taken, 1 where it was
            not; None: the gradients of that update are not there yet, so that the step of
            optimisers that go by their size is not known.

    Returns:
        At least 0; None where it is not known: of other optimisers, and of weights that are all 0,
        vectors, or not there yet.

    Example:
        >>> layer = torch.nn.Linear(64, 64)
        >>> _ = torch.nn.init.normal_(layer.weight, std=0.125)
        >>> round(relative_step([torch.optim.AdamW(layer.parameters(), lr=1e-3)]), 2)
        0.03
    """
    total, count = 0.0, 0
    scale = math.nan if loss_scale is None else float(loss_scale)
    for optimizer in optimizers:
        step = _step_of(optimizer, has_gradients=loss_scale is not None)
        if step is None:
            continue
        for group in optimizer.param_groups:
            matrices = [p for p in group["params"] if _is_known(p)]
            norms = _norms(matrices)
            slopes = [math.nan] * len(matrices) if step is not _of_gradients else _slopes(matrices)
            for matrix, norm, slope in zip(matrices, norms, slopes, strict=True):
                rows, columns = len(matrix), matrix.numel() // len(matrix)
                if not 0.0 < norm < math.inf:  # as of layers that begin at 0 on purpose
                    continue
                size = norm / math.sqrt(matrix.numel()) * (math.sqrt(rows) + math.sqrt(columns))
                longest = step(group, rows, columns, slope / scale)
                moved = float(group.get("lr", 0.0)) * longest / size
                total, count = total + moved * matrix.numel(), count + matrix.numel()
    # A gradient that is not finite is the guard's: no rate makes it a step.
    return total / count if count and math.isfinite(total) else None


def _rate(optimizer: torch.optim.Optimizer) -> float:
    return max(float(group.get("lr", 0.0)) for group in optimizer.param_groups)


def _step_of(optimizer: torch.optim.Optimizer, *, has_gradients: bool) -> StepOfMatrix | None:
    known = next((_STEPS[name] for name in _names(optimizer) if name in _STEPS), None)
    if known is None and has_gradients and type(optimizer).__name__ in _BY_GRADIENTS:
        return _of_gradients
    return known


def _names(optimizer: torch.optim.Optimizer) -> list[str]:
    """Name the optimiser's class and those that it derives from, nearest first."""
    return [kind.__name__.removesuffix("8bit") for kind in type(optimizer).__mro__]


def _is_known(parameter: Tensor) -> bool:
    return (
        type(parameter) in (Tensor, nn.Parameter)  # others may be a share of a matrix, or packed
        and parameter.requires_grad
        and not is_lazy(parameter)
        and not parameter.is_meta
        and parameter.is_floating_point()
        and parameter.layout is torch.strided
        and parameter.ndim > 1
        and parameter.numel() > 0
    )


def _slopes(matrices: Iterable[Tensor]) -> list[float]:
    """Return the norms of the gradients, 0 where there is none."""
    gradients = [m.grad for m in matrices]
    there = [g for g in gradients if g is not None and g.layout is torch.strided]
    norms = iter(_norms(there))
    return [0.0 if g is None or g.layout is not torch.strided else next(norms) for g in gradients]


def _norms(matrices: Iterable[Tensor]) -> list[float]:
    """Return the norms of some tensors, with one read of each device."""
    with torch.no_grad():
        # In float32 at least, where half precision would overflow; torch narrows no float64.
        wide = [torch.promote_types(m.dtype, torch.float32) for m in matrices]
        norms = [torch.linalg.vector_norm(m, dtype=d) for m, d in zip(matrices, wide, strict=True)]
        return torch.stack([n.reshape(()).cpu().double() for n in norms]).tolist() if norms else []
