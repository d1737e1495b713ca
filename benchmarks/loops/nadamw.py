"""NAdamW, which is not torch's NAdam: momentum that does not vary, decay apart from the gradient.

Dozat, "Incorporating Nesterov Momentum into Adam", 2016, as simplified in table 1 of Choi et al.,
"On Empirical Comparisons of Optimizers for Deep Learning", 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class NAdamW(torch.optim.Optimizer):
    """Adam that follows the average gradient as it will be after one more step.

    Args:
        params: The weights.
        lr: The rate.
        betas: Of the averages of gradients and of their squares.
        eps: Added to the root of the latter.
        weight_decay: Decoupled.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one update."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, p.grad, group)
        return loss

    def _update(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (first, second) = self.state[p], group["betas"]
        if not state:
            state.update(steps=0, average=torch.zeros_like(p), squares=torch.zeros_like(p))
        state["steps"] += 1
        average, squares = state["average"], state["squares"]
        average.lerp_(gradient, 1.0 - first)
        squares.mul_(second).addcmul_(gradient, gradient, value=1.0 - second)
        ahead = average.lerp(gradient, 1.0 - first)
        size = (squares / (1.0 - second ** state["steps"])).sqrt_().add_(group["eps"])
        p.mul_(1.0 - group["lr"] * group["weight_decay"])
        p.addcdiv_(ahead, size, value=-group["lr"] / (1.0 - first ** state["steps"]))
