"""Meta-SGD: MAML that also learns a learning rate for every weight.

Li, Zhou, Chen and Li, "Meta-SGD: learning to learn quickly for few-shot learning" (2017). Rates may
become negative; none is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from hpo_env.errors import ConfigurationError

from .episodes import Examples
from .gradient_based import InnerLoopSettings
from .inner_loop import Rates
from .maml import MAML
from .networks import Network, Parameters

_RATE = "rate."


@dataclass(frozen=True, kw_only=True)
class MetaSGDSettings(InnerLoopSettings):
    """The inner loop, whose rates are learned.

    Args:
        inner_rate: The highest rate at the start.
        lowest_rate: The lowest rate at the start; they are drawn uniformly in between.
        inner_steps: One in the paper.
    """

    inner_rate: float = 0.1
    lowest_rate: float = 0.005
    inner_steps: int = 1

    positive: ClassVar[tuple[str, ...]] = ("inner_rate", "lowest_rate")

    def __post_init__(self) -> None:
        """Check every number that was given."""
        super().__post_init__()
        if self.lowest_rate > self.inner_rate:
            raise ConfigurationError(
                "lowest_rate must not be above inner_rate; "
                f"got {self.lowest_rate} and {self.inner_rate}"
            )


class MetaSGD(MAML):
    """See the module; arguments are those of `Algorithm`.

    The meta-parameters are the network's and, under `rate.<name>`, a rate for each of them.
    """

    name = "meta_sgd"
    settings = MetaSGDSettings
    source = "Li, Zhou, Chen and Li (2017)"

    def __init__(self, network: Network, settings: MetaSGDSettings) -> None:
        super().__init__(network, settings)
        self._lowest_rate = settings.lowest_rate

    def initial(self, generator: torch.Generator) -> Parameters:
        """See `Algorithm.initial`."""
        start = self.network.initial(generator)
        rates = {
            _RATE + name: torch.empty_like(value).uniform_(
                self._lowest_rate, self.inner.inner_rate, generator=generator
            )
            for name, value in start.items()
        }
        return start | rates

    def initialisation(self, meta: Parameters, support: Examples) -> Parameters:
        """See `GradientBased.initialisation`."""
        return {name: meta[name] for name in self.network.shapes}

    def rates(self, meta: Parameters) -> Rates:
        """See `GradientBased.rates`."""
        return {name: meta[_RATE + name] for name in self.network.shapes}
