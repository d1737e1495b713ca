"""Meta-SGD over policies: MAML that learns a rate for every weight, too.

Li, Zhou, Chen and Li, "Meta-SGD: learning to learn quickly for few-shot learning" (2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..adaptation.inner_loop import Rates
from ..adaptation.networks import Parameters
from ..learners.stepping import Env
from .maml import MAMLPolicy
from .settings import QuerySettings

_RATE = "rate."


@dataclass(frozen=True, kw_only=True)
class MetaSGDPolicySettings(QuerySettings):
    """The same as MAML's.

    Args:
        inner_rate: Of every weight at the start; it is learned, and may become negative.
    """

    inner_rate: float = 0.1


class MetaSGDPolicy(MAMLPolicy):
    """See the module; arguments are those of `Learner`."""

    name = "meta_sgd"
    settings = MetaSGDPolicySettings

    def __init__(
        self, settings: MetaSGDPolicySettings, env: Env, *, seed: int, total_steps: int
    ) -> None:
        self._rates: Parameters = {}
        super().__init__(settings, env, seed=seed, total_steps=total_steps)

    @property
    def extra(self) -> Parameters:
        """See `InitialPolicy.extra`: the rates."""
        if not self._rates:
            rate = self._told.inner_rate
            self._rates = {
                _RATE + name: torch.full_like(value.detach(), rate).requires_grad_()
                for name, value in self.network.items()
            }
        return self._rates

    def rates(self, learned: Parameters) -> Rates:
        """See `MAMLPolicy.rates`."""
        return {name: learned[_RATE + name] for name in self.network}
