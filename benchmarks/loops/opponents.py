"""Who sets the learning rate of a workload: schedules that are known beforehand, and controllers.

An opponent that is given a rate takes it for its highest, or for the one to begin from; some have
one of their own, which is part of what they are. Those with optimisers of their own (Schedule-Free,
Prodigy, NAdamW) train with them, all others with the one that is asked for.
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
from benchmarks.loops.nadamw import NAdamW
from hpo_env.controller import Controller

Rule = Callable[[float], float]
"""From progress in [0, 1) to the factor on the rate."""

OptimizersOf = Callable[[list[Tensor], float], list[torch.optim.Optimizer]]
"""From weights and rate to the optimisers that are stepped together."""

Follow = Callable[[float], None]
"""Sets the rate for the next update, given the loss of the minibatch of the last."""

_WARM_UP = 0.05  # share of the run
_ALGOPERF_WARM_UP = 0.02
_COOL_DOWN = 0.2  # of a WSD schedule, as its authors have it (Hägele et al., 2024)


def constant(progress: float) -> float:
    """Keep the rate."""
    return 1.0


def cosine(progress: float) -> float:
    """Fall on half a cosine."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def warm_cosine(progress: float, warm_up: float = _WARM_UP) -> float:
    """Rise over the first share of the run, then fall on half a cosine."""
    if progress < warm_up:
        return progress / warm_up + 0.01  # the first update is made with something
    return cosine((progress - warm_up) / (1.0 - warm_up))


def warmup_stable_decay(progress: float) -> float:
    """Rise, stay, and fall over the last fifth (Hu et al., 2024) as 1 - √ (Hägele et al., 2024)."""
    if progress < _WARM_UP:
        return progress / _WARM_UP + 0.01
    past = max(progress - (1.0 - _COOL_DOWN), 0.0) / _COOL_DOWN
    return 1.0 - math.sqrt(past)


def greedy(optimizers: list[torch.optim.Optimizer]) -> Follow:
    """Raise the rates by 5 % while the loss improves, and lower them by as much when it does not.

    GreedyLR (Subramanian et al., "Dynamic Learning Rate Scheduling based on Loss Changes Leads to
    Faster Convergence", 2025) as its authors put it into transformers, with their factor, patience
    and window; the losses are smoothed, as those of minibatches are noisy. Their bounds, 1e-3 to 1,
    suit SGD; here a rate stays within a factor of ten of where it began.
    """
    from transformers.optimization import GreedyLR

    schedulers = []
    for optimizer in optimizers:
        rates = [group["lr"] for group in optimizer.param_groups]
        low, high = [rate / 10.0 for rate in rates], [rate * 10.0 for rate in rates]
        schedulers.append(GreedyLR(optimizer, smooth=True, min_lr=low, max_lr=high))

    def follow(loss: float) -> None:
        for scheduler in schedulers:
            scheduler.step(loss)

    return follow


def _schedule_free(weights: list[Tensor], rate: float) -> list[torch.optim.Optimizer]:
    from schedulefree import AdamWScheduleFree  # type: ignore[import-untyped]

    return [AdamWScheduleFree(weights, lr=rate)]


def _prodigy(weights: list[Tensor], rate: float) -> list[torch.optim.Optimizer]:
    """Build Prodigy (Mishchenko and Defazio, 2023), which finds the rate and is given a factor."""
    from prodigyopt import Prodigy

    return [Prodigy(weights, lr=rate)]


def _nadamw(weights: list[Tensor], rate: float) -> list[torch.optim.Optimizer]:
    """Build NAdamW with the betas and decay of AlgoPerf's self-tuning baseline."""
    betas = (1.0 - 0.06733926164, 0.9955159689799007)
    return [NAdamW(weights, lr=rate, betas=betas, weight_decay=0.08121616522670176)]


@dataclass(frozen=True, kw_only=True)
class Opponent:
    """One of those that are compared.

    Args:
        rule: Of the rate; None where a controller decides, or nobody.
        follows: Makes what sets the rate by the losses of minibatches.
        optimizers: Its own optimisers; None: those that are asked for.
        own_rate: The one rate that it has; None: it is given rates.
        policy: A shipped policy or the folder of one, which decides.
        options: For `Controller.attach`.
        is_schedule_free: Whether the optimiser is Schedule-Free's AdamW.
        cools_for: The controller is not told how long the run is before this last share of it.
    """

    rule: Rule | None = None
    follows: Callable[[list[torch.optim.Optimizer]], Follow] | None = None
    optimizers: OptimizersOf | None = None
    own_rate: float | None = None
    policy: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    is_schedule_free: bool = False
    cools_for: float | None = None


OPPONENTS: dict[str, Opponent] = {
    "constant": Opponent(rule=constant),
    "cosine": Opponent(rule=warm_cosine),
    "wsd": Opponent(rule=warmup_stable_decay),
    "greedy": Opponent(follows=greedy),
    "schedule_free": Opponent(optimizers=_schedule_free, is_schedule_free=True),
    "schedule_free_fixed": Opponent(  # at the rate that its authors give in their examples
        optimizers=_schedule_free, is_schedule_free=True, own_rate=2.5e-3
    ),
    "prodigy": Opponent(rule=cosine, optimizers=_prodigy, own_rate=1.0),
    "nadamw_algoperf": Opponent(
        rule=functools.partial(warm_cosine, warm_up=_ALGOPERF_WARM_UP),
        optimizers=_nadamw,
        own_rate=0.0017486387539278373,
    ),
    "controller": Opponent(policy="supervised"),
    "controller_learned": Opponent(policy="supervised", options={"start": "learned"}),
    "controller_open": Opponent(policy="supervised", cools_for=0.2),
    "controller_open_half": Opponent(policy="supervised", cools_for=0.5),
    "controller_user": Opponent(policy="supervised", options={"start": "user"}),
}
"""By name; `path/to/a/policy` is one as well."""


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
    "adamw_decaying": _one(torch.optim.AdamW, weight_decay=10.0),
    "adamw_slow": _one(torch.optim.AdamW, betas=(0.99, 0.999)),
    "adamw_blunt": _one(torch.optim.AdamW, eps=0.1),
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
