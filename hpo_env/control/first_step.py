"""How far a first update moves the weights of a network, which is known before it is made.

An optimiser that divides by the size of gradients (Adam and its kind, Lion, Muon) makes its first
update as large as its rate says, whatever the loss. A matrix whose elements have the root mean
square `s` lengthens what passes through it by about `s (√m + √n)` (the largest singular value of a
random matrix); an update in which every element moves by the rate, all of them for the same
minibatch, by `rate √(m n)`. Their ratio is the relative step: at 1, one update changes what a layer
puts out by as much as it puts out. It does not depend on how wide the network is or how it was
begun, which is why rates that are chosen by it carry over (Yang et al., "A Spectral Condition for
Feature Learning", 2023).

The rate of plain SGD cannot be judged so, as its step is as long as the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

Group = Mapping[str, Any]
StepOfMatrix = Callable[[Group, int, int], float]
"""From param group, rows and columns to the largest singular value of an update at rate 1."""


def _of_signs(group: Group, rows: int, columns: int) -> float:
    return math.sqrt(rows * columns)


def _of_muon(group: Group, rows: int, columns: int) -> float:
    # What is orthogonal has singular values of 1.
    if group.get("adjust_lr_fn") == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, rows / columns))


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

_USUAL_RATES = {"Lion": 1e-3, "Muon": 1e-2, "RMSprop": 3e-4, "SGD": 1e-2}
_USUAL_RATE = 3e-3
"""Of Adam and its kind. From which of 3e-4, 1e-3, 3e-3 and 1e-2 runs of the validation
workloads ended lowest: `docs/real-loops-experiments.md`."""
_LARGEST_STEP = 1.0  # at which the weights are as good as drawn anew
_UNBEARABLE_STEP = 2.0
"""From 3 on, runs of four of the seven validation workloads end higher; below 1.2, of none."""


def bearable_rate(optimizers: Sequence[torch.optim.Optimizer]) -> float | None:
    """Return the highest learning rate whose first update does not wreck the weights.

    Args:
        optimizers: With the rates that are asked about. They and their param groups keep the ratios
            of their rates; the rate is that of the largest.

    Returns:
        None where it is not known, see `relative_step`; and where updates were made already, as
        those that come move the weights less.
    """
    if any(optimizer.state for optimizer in optimizers):
        return None
    step = relative_step(optimizers)
    return None if not step else _UNBEARABLE_STEP * max(map(_rate, optimizers)) / step


def learned_rate(optimizers: Sequence[torch.optim.Optimizer]) -> float | None:
    """Return the learning rate to begin at where nothing is known of the problem.

    It goes by the kind of the optimiser with the largest rate, and is lower where its first update
    would be larger than the weights are.

    Args:
        optimizers: See `bearable_rate`.

    Returns:
        None for optimisers of no known kind.
    """
    largest = max(optimizers, key=_rate)
    usual = next((_USUAL_RATES[n] for n in _names(largest) if n in _USUAL_RATES), None)
    if usual is None and _step_of(largest) is None:
        return None
    usual = _USUAL_RATE if usual is None else usual
    step = relative_step(optimizers)
    return min(usual, _LARGEST_STEP * _rate(largest) / step) if step else usual


def relative_step(optimizers: Sequence[torch.optim.Optimizer]) -> float | None:
    """Return the relative step of the first update, the mean over all weights of matrices.

    Args:
        optimizers: At their first update, with the rates that it would be made with.

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
    for optimizer in optimizers:
        step = _step_of(optimizer)
        if step is None:
            continue
        for group in optimizer.param_groups:
            matrices = [p for p in group["params"] if _is_known(p)]
            for matrix, norm in zip(matrices, _norms(matrices), strict=True):
                rows, columns = len(matrix), matrix.numel() // len(matrix)
                if not 0.0 < norm < math.inf:  # as of layers that begin at 0 on purpose
                    continue
                size = norm / math.sqrt(matrix.numel()) * (math.sqrt(rows) + math.sqrt(columns))
                moved = float(group.get("lr", 0.0)) * step(group, rows, columns) / size
                total, count = total + moved * matrix.numel(), count + matrix.numel()
    return total / count if count else None


def _rate(optimizer: torch.optim.Optimizer) -> float:
    return max(float(group.get("lr", 0.0)) for group in optimizer.param_groups)


def _step_of(optimizer: torch.optim.Optimizer) -> StepOfMatrix | None:
    return next((_STEPS[name] for name in _names(optimizer) if name in _STEPS), None)


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


def _norms(matrices: Iterable[Tensor]) -> list[float]:
    """Return the norms of some tensors, with one read of each device."""
    with torch.no_grad():
        norms = [torch.linalg.vector_norm(m, dtype=torch.float32).reshape(()) for m in matrices]
        return torch.stack([n.cpu() for n in norms]).tolist() if norms else []
