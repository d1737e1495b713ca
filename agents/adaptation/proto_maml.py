"""Proto-MAML with a learned rate for each layer: prototypes give the head that steps then adapt.

Triantafillou et al., "Meta-Dataset: a dataset of datasets for learning to learn from few examples"
(2020), section 3: the head of a classifier starts as the linear form of the distances to the
prototypes of the support set, so that one initialisation does for any number of classes, and steps
begin where a prototypical network ends. The rates, one a parameter tensor, are learned along with
it, after Antoniou, Edwards and Storkey, "How to train your MAML" (2019).

Ours: the distances have a learned scale, and rates stay positive, as their logarithms are learned.
Where values are predicted there are no prototypes, and the head is learned as the trunk is.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch

from .episodes import Examples
from .gradient_based import InnerLoopSettings
from .inner_loop import Rates
from .maml import MAML
from .networks import HEAD, Network, Parameters

_LOG_RATE, _LOG_SCALE = "log_rate.", "log_scale"


class ProtoMAML(MAML):
    """See the module; arguments are those of `Algorithm`.

    The meta-parameters are those of the trunk, of the head too where values are predicted, and the
    logarithms of rates and scale.
    """

    name = "proto_maml"
    settings: ClassVar[type[InnerLoopSettings]] = InnerLoopSettings
    source = "Triantafillou et al. (2020); rates: Antoniou, Edwards and Storkey (2019)"

    def __init__(self, network: Network, settings: InnerLoopSettings) -> None:
        super().__init__(network, settings)
        self._has_prototypes = network.problem.is_classification

    def initial(self, generator: torch.Generator) -> Parameters:
        """See `Algorithm.initial`."""
        start = self.network.initial(generator)
        log_rate = torch.tensor(math.log(self.inner.inner_rate))
        meta = {_LOG_RATE + name: log_rate.clone() for name in start}
        if self._has_prototypes:
            start = {name: value for name, value in start.items() if name not in HEAD}
            meta[_LOG_SCALE] = torch.tensor(-math.log(self.network.embedding_size))
        return start | meta

    def initialisation(self, meta: Parameters, support: Examples) -> Parameters:
        """See `GradientBased.initialisation`; a head of prototypes is that of the task."""
        start = {name: meta[name] for name in self.network.shapes if name in meta}
        return start | self._head(meta, start, support) if self._has_prototypes else start

    def rates(self, meta: Parameters) -> Rates:
        """See `GradientBased.rates`."""
        return {name: meta[_LOG_RATE + name].exp() for name in self.network.shapes}

    def _head(self, meta: Parameters, trunk: Parameters, support: Examples) -> Parameters:
        """Write the distances to the prototypes of a support set `[S, ...]` as a linear head."""
        members = self.problem.encoded(support.targets)  # [S, K]
        sums = members.T @ self.network.embed(trunk, support.inputs)
        prototypes = sums / members.sum(0).clamp_min(1.0)[:, None]
        scale = meta[_LOG_SCALE].exp()
        head = 2.0 * scale * prototypes, -scale * prototypes.square().sum(-1)
        return dict(zip(HEAD, head, strict=True))
