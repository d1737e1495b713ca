"""What Matching and Prototypical networks share: the trunk embeds, and a rule compares.

Nothing is adapted by steps; a task's support set is an argument of the prediction.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.func import vmap

from ..learners.settings import Settings
from .base import Differentiable
from .episodes import Episodes, Examples
from .networks import HEAD, Parameters


@dataclass(frozen=True, kw_only=True)
class EmbeddingSettings(Settings):
    """Nothing to set: all is in the network."""


class EmbeddingBased(Differentiable):
    """An algorithm whose predictions are a differentiable function of the support set.

    Subclasses write `compare` for one task; the network's head is not used.
    """

    settings: ClassVar[type[Settings]] = EmbeddingSettings

    @abstractmethod
    def compare(self, meta: Parameters, support: Examples, inputs: torch.Tensor) -> torch.Tensor:
        """Predict `[Q, K]` for one task, from its support `[S, ...]` and queries `[Q, ...]`."""

    def initial(self, generator: torch.Generator) -> Parameters:
        """See `Algorithm.initial`: the trunk."""
        drawn = self.network.initial(generator)
        return {name: value for name, value in drawn.items() if name not in HEAD}

    def loss(
        self, meta: Parameters, episodes: Episodes, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Differentiable.loss`."""

        def of_task(support: Examples, query: Examples) -> torch.Tensor:
            return self.problem.loss(self.compare(meta, support, query.inputs), query.targets)

        mean = vmap(of_task)(episodes.support, episodes.query).mean()
        return mean, mean

    def predict(
        self,
        meta: Parameters,
        support: Examples,
        inputs: torch.Tensor,
        *,
        num_steps: int | None = None,
    ) -> torch.Tensor:
        """See `Algorithm.predict`."""
        with torch.no_grad():
            return vmap(lambda examples, queries: self.compare(meta, examples, queries))(
                support, inputs
            )
