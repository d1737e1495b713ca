"""Meta-SGD over policies: MAML that learns a rate for every weight, too.

Li, Zhou, Chen and Li, "Meta-SGD: learning to learn quickly for few-shot learning" (2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..adaptation.inner_loop import Rates
from ..adaptation.networks import Parameters
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

    def drawn_extra(self) -> Parameters:
        """See `InitialPolicy.drawn_extra`: the rates."""
        return {
            _RATE + name: torch.full_like(value.detach(), self._told.inner_rate).requires_grad_()
            for name, value in self.network.items()
        }

    def rates(self, learned: Parameters) -> Rates:
        """See `MAMLPolicy.rates`."""
        return {name: learned[_RATE + name] for name in self.network}
