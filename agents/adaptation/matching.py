"""Matching networks: a prediction is the support's targets, weighted by likeness.

Vinyals, Blundell, Lillicrap, Kavukcuoglu and Wierstra, "Matching networks for one shot learning"
(2016). The weights are a softmax over cosines between the embedded query and the embedded support
examples. With full context embeddings (`processing_steps` above 0) a bidirectional cell reads the
support set, and an attentive cell re-reads it for each query (equations 3-6 there).

Ours: the softmax has a learned sharpness. Cosines lie in [-1, 1], so that without one no weight
could differ from another by more than a factor of e^2; and targets may be values, whose weighted
mean is predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional

from .embedding_based import EmbeddingBased, EmbeddingSettings
from .episodes import Examples
from .networks import Network, Parameters
from .recurrent import CellState, cell_step, drawn_cell, empty_state

_SHARPNESS = "log_sharpness"
_START_SHARPNESS = 10.0
_LEAST_PROBABILITY = 1e-8  # before the logarithm, for a class that no support example has


@dataclass(frozen=True, kw_only=True)
class MatchingSettings(EmbeddingSettings):
    """The context.

    Args:
        processing_steps: How often the support set is re-read for a query, at least 0; 0 embeds
            each example by itself.
    """

    processing_steps: int = 0

    at_least: ClassVar[dict[str, float]] = {"processing_steps": 0}


class MatchingNetworks(EmbeddingBased):
    """See the module; arguments are those of `Algorithm`."""

    name = "matching"
    settings = MatchingSettings
    source = "Vinyals et al. (2016)"

    def __init__(self, network: Network, settings: MatchingSettings) -> None:
        super().__init__(network, settings)
        self._processing_steps = settings.processing_steps

    def initial(self, generator: torch.Generator) -> Parameters:
        """See `Algorithm.initial`."""
        meta = super().initial(generator)
        meta[_SHARPNESS] = torch.tensor(_START_SHARPNESS).log()
        if self._processing_steps:
            size = self.network.embedding_size
            for name in ("forwards", "backwards"):
                meta |= drawn_cell(name, size, size, generator)
            meta |= drawn_cell("attentive", 2 * size, size, generator)
        return meta

    def compare(self, meta: Parameters, support: Examples, inputs: torch.Tensor) -> torch.Tensor:
        """See `EmbeddingBased.compare`: logarithms of probabilities, or values."""
        known = self.network.embed(meta, support.inputs)
        asked = self.network.embed(meta, inputs)
        if self._processing_steps:
            known = _in_context(meta, known)
            asked = self._attentive(meta, asked, known)
        cosines = functional.normalize(asked, dim=-1) @ functional.normalize(known, dim=-1).T
        weights = (meta[_SHARPNESS].exp() * cosines).softmax(-1)  # [Q, S]
        mixed = weights @ self.problem.encoded(support.targets)
        if self.problem.is_classification:
            return mixed.clamp_min(_LEAST_PROBABILITY).log()
        return mixed

    def _attentive(
        self, meta: Parameters, asked: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """Embed queries `[Q, E]` in view of the support set `[S, E]`."""
        state = empty_state(*asked.shape)
        for _ in range(self._processing_steps):
            read = (state.output @ known.T).softmax(-1) @ known
            state = cell_step(meta, "attentive", torch.cat([asked, read], dim=-1), state)
            state = CellState(state.output + asked, state.memory)
        return state.output


def _in_context(meta: Parameters, known: torch.Tensor) -> torch.Tensor:
    """Embed support examples `[S, E]` in view of each other, read in both directions."""
    return known + _read(meta, "forwards", known) + _read(meta, "backwards", known.flip(0)).flip(0)


def _read(meta: Parameters, name: str, rows: torch.Tensor) -> torch.Tensor:
    state = empty_state(1, rows.shape[1])
    outputs = []
    for row in rows[:, None].unbind():
        state = cell_step(meta, name, row, state)
        outputs.append(state.output)
    return torch.cat(outputs)
