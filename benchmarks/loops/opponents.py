"""Who sets the learning rate of a workload: schedules that are known beforehand, and controllers.

An opponent that is given a rate takes it for its highest, or for the one to begin from. All but
Schedule-Free train with the optimiser that is asked for.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.loops.lion import Lion
from hpo_env.controller import Controller

Rule = Callable[[float], float]
"""From progress in [0, 1) to the factor on the rate."""

_WARM_UP = 0.05  # share of the run
_COOL_DOWN = 0.2  # of a WSD schedule, as its authors have it (Hägele et al., 2024)


def constant(progress: float) -> float:
    """Keep the rate."""
    return 1.0


def warm_cosine(progress: float) -> float:
    """Rise over the first 5 % of the run, then fall on half a cosine."""
    if progress < _WARM_UP:
        return progress / _WARM_UP + 0.01  # the first update is made with something
    return 0.5 * (1.0 + math.cos(math.pi * (progress - _WARM_UP) / (1.0 - _WARM_UP)))


def warmup_stable_decay(progress: float) -> float:
    """Rise, stay, and fall over the last fifth (Hu et al., 2024) as 1 - √ (Hägele et al., 2024)."""
    if progress < _WARM_UP:
        return progress / _WARM_UP + 0.01
    past = max(progress - (1.0 - _COOL_DOWN), 0.0) / _COOL_DOWN
    return 1.0 - math.sqrt(past)


@dataclass(frozen=True, kw_only=True)
class Opponent:
    """One of those that are compared.

    Args:
        rule: Of the rate; None where a controller decides, or nobody.
        policy: A shipped policy or the folder of one, which decides.
        options: For `Controller.attach`.
        is_schedule_free: Whether the optimiser is Schedule-Free's AdamW.
        cools_for: The controller is not told how long the run is before this last share of it.
    """

    rule: Rule | None = None
    policy: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    is_schedule_free: bool = False
    cools_for: float | None = None


OPPONENTS: dict[str, Opponent] = {
    "constant": Opponent(rule=constant),
    "cosine": Opponent(rule=warm_cosine),
    "wsd": Opponent(rule=warmup_stable_decay),
    "schedule_free": Opponent(is_schedule_free=True),
    "controller": Opponent(policy="supervised"),
    "controller_learned": Opponent(policy="supervised", options={"start": "learned"}),
    "controller_open": Opponent(policy="supervised", cools_for=0.2),
    "controller_open_half": Opponent(policy="supervised", cools_for=0.5),
    "controller_user": Opponent(policy="supervised", options={"start": "user"}),
}
"""By name; `path/to/a/policy` is one as well."""

OptimizersOf = Callable[[list[Tensor], float], list[torch.optim.Optimizer]]
"""From weights and rate to the optimisers that are stepped together."""


def _one(kind: Callable[..., torch.optim.Optimizer], **settings: Any) -> OptimizersOf:
    return lambda weights, rate: [kind(weights, lr=rate, **settings)]


def _muon(weights: list[Tensor], rate: float) -> list[torch.optim.Optimizer]:
    """Build Muon for matrices, scaled to AdamW's updates, and AdamW for the rest."""
    matrices = [p for p in weights if p.ndim == 2]
    rest = [p for p in weights if p.ndim != 2]
    return [
        torch.optim.Muon(matrices, lr=rate, adjust_lr_fn="match_rms_adamw", weight_decay=0.01),
        torch.optim.AdamW(rest, lr=rate),
    ]


OPTIMIZERS: dict[str, OptimizersOf] = {
    "adamw": _one(torch.optim.AdamW),
    "nadam": _one(torch.optim.NAdam),
    "rmsprop": _one(torch.optim.RMSprop),
    "sgd": _one(torch.optim.SGD, momentum=0.9, nesterov=True),
    "plain_sgd": _one(torch.optim.SGD),
    "lion": _one(Lion),
    "muon": _muon,
}
"""By name."""


@functools.cache
def loaded(policy: str) -> Controller:
    """Load a policy once."""
    return Controller.from_pretrained(policy)
