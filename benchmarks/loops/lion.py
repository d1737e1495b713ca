"""Lion, which torch does not have (Chen et al., 2023, algorithm 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Lion(torch.optim.Optimizer):
    """Moves every weight by the rate, along the sign of two averaged gradients.

    Args:
        params: The weights.
        lr: The rate.
        betas: Of the average that is followed, and of the one that is kept.
        weight_decay: Decoupled.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one update."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            followed, kept = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["average"] = torch.zeros_like(p)
                average = state["average"]
                p.mul_(1.0 - group["lr"] * group["weight_decay"])
                p.sub_(torch.sign(average.lerp(p.grad, 1.0 - followed)), alpha=group["lr"])
                average.lerp_(p.grad, 1.0 - kept)
        return loss
