"""Prototypical networks: a class is where its examples lie in the mean.

Snell, Swersky and Zemel, "Prototypical networks for few-shot learning" (2017). Logits are negative
squared distances from the embedded query to the mean embedding of each class. A class without an
example in the support set has no prototype, and is never predicted.
"""

from __future__ import annotations

import torch

from .embedding_based import EmbeddingBased
from .episodes import Examples
from .networks import Parameters

_FAR = 1e9  # finite, so that the loss of a query whose class has no example can be differentiated


class PrototypicalNetworks(EmbeddingBased):
    """See the module; arguments are those of `Algorithm`."""

    name = "prototypical"
    source = "Snell, Swersky and Zemel (2017)"
    kinds = ("classification",)

    def compare(self, meta: Parameters, support: Examples, inputs: torch.Tensor) -> torch.Tensor:
        """See `EmbeddingBased.compare`."""
        members = self.problem.encoded(support.targets)  # [S, K]
        sizes = members.sum(0)  # [K]
        sums = members.T @ self.network.embed(meta, support.inputs)
        prototypes = sums / sizes.clamp_min(1.0)[:, None]
        queries = self.network.embed(meta, inputs)
        distances = (queries[:, None] - prototypes).square().sum(-1)
        return -distances.where(sizes > 0, _FAR)
