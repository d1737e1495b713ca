"""Memory-augmented networks: a controller writes examples into a memory and finds them by content.

Santoro, Bartunov, Botvinick, Wierstra and Lillicrap, "Meta-learning with memory-augmented neural
networks" (2016). A recurrent controller reads the support set, one example after another. Each is
written to where the memory was read last or to where it was used least (least recently used
access); reading weighs the memory's rows by their cosine with a key.

Ours: a support example comes with its own target, and a query with an empty one. In the paper
targets come a step late, since there a prediction is asked for at every step; here the support set
is known when a query is asked. Queries read and do not write, so that their order means nothing; in
meta-training the order of the support set is drawn, as sources list it class by class, and a
controller would learn to count in place of reading targets. Reading has a learned sharpness (the
key strength of Graves, Wayne and Danihelka, "Neural Turing machines", 2014, equation 5): cosines
lie in [-1, 1], so that without one a row that fits could be read e^2 times as much as one that
contradicts, at most. And a row that was hardly written to has hardly a cosine, whatever its
direction.

Axes: `M` rows of memory, `W` their width, `U` units of the controller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch.nn import functional

from .embedding_based import EmbeddingBased, EmbeddingSettings
from .episodes import Episodes, Examples
from .networks import Network, Parameters
from .recurrent import CellState, cell_step, drawn_cell, empty_state

_EMPTY = 1e-6  # what rows begin with
_LEAST_LENGTH = 0.1  # of a row that counts as written to
_SHARPNESS = "log_sharpness"
_START_SHARPNESS = 10.0


@dataclass(frozen=True, kw_only=True)
class MemorySettings(EmbeddingSettings):
    """The memory.

    Args:
        num_rows: `M`, at least 1; about as many as there are support examples, or more.
        row_size: `W`, at least 1.
        num_units: `U` of the controller, at least 1.
        usage_decay: How much of a row's use is remembered a step later, in [0, 1].
    """

    num_rows: int = 32
    row_size: int = 40
    num_units: int = 100
    usage_decay: float = 0.95

    at_least: ClassVar[dict[str, float]] = {"num_rows": 1, "row_size": 1, "num_units": 1}
    up_to_one: ClassVar[tuple[str, ...]] = ("usage_decay",)


class Memory(NamedTuple):
    """The memory of one task.

    Attributes:
        rows: `[M, W]`.
        usage: How much each row was used of late, `[M]`.
        last_read: Weights of the last reading, `[M]`.
    """

    rows: torch.Tensor
    usage: torch.Tensor
    last_read: torch.Tensor


class MemoryAugmentedNetwork(EmbeddingBased):
    """See the module; arguments are those of `Algorithm`."""

    name = "memory"
    settings = MemorySettings
    source = "Santoro et al. (2016)"

    def __init__(self, network: Network, settings: MemorySettings) -> None:
        super().__init__(network, settings)
        self._sizes = settings

    def initial(self, generator: torch.Generator) -> Parameters:
        """See `Algorithm.initial`."""
        sizes, outputs = self._sizes, self.problem.num_outputs
        meta = super().initial(generator)
        meta[_SHARPNESS] = torch.tensor(_START_SHARPNESS).log()
        meta |= drawn_cell(
            "controller", self.network.embedding_size + outputs, sizes.num_units, generator
        )
        for name, fan_out, fan_in in (
            ("key", sizes.row_size, sizes.num_units),
            ("gate", 1, sizes.num_units),
            ("answer", outputs, sizes.num_units + sizes.row_size),
        ):
            bound = 1.0 / math.sqrt(fan_in)
            weight = torch.empty(fan_out, fan_in).uniform_(-bound, bound, generator=generator)
            meta |= {f"{name}.weight": weight, f"{name}.bias": torch.zeros(fan_out)}
        return meta

    def loss(
        self, meta: Parameters, episodes: Episodes, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Differentiable.loss`; the order of the support set is drawn."""
        num_tasks, num_examples = episodes.support.targets.shape[:2]
        order = torch.rand(num_tasks, num_examples, generator=generator).argsort(dim=1)
        tasks = torch.arange(num_tasks)[:, None]
        support = Examples(*(part[tasks, order] for part in episodes.support))
        return super().loss(meta, Episodes(support, episodes.query), generator)

    def compare(self, meta: Parameters, support: Examples, inputs: torch.Tensor) -> torch.Tensor:
        """See `EmbeddingBased.compare`."""
        known = self.network.embed(meta, support.inputs)
        seen = torch.cat([known, self.problem.encoded(support.targets)], dim=-1)
        state, memory = empty_state(1, self._sizes.num_units), self._empty_memory()
        sharpness = meta[_SHARPNESS].exp()
        for row in seen[:, None].unbind():
            state = cell_step(meta, "controller", row, state)
            key = _linear(meta, "key", state.output)[0].tanh()
            gate = _linear(meta, "gate", state.output)[0].sigmoid()
            memory = written(memory, key, gate, sharpness, self._sizes.usage_decay)
        return self._answers(meta, self.network.embed(meta, inputs), state, memory)

    def _answers(
        self, meta: Parameters, asked: torch.Tensor, state: CellState, memory: Memory
    ) -> torch.Tensor:
        """Answer queries `[Q, E]`, each from the same state and memory."""
        num_queries = len(asked)
        unknown = torch.zeros(num_queries, self.problem.num_outputs)
        carried = CellState(*(part.expand(num_queries, -1) for part in state))
        state = cell_step(meta, "controller", torch.cat([asked, unknown], dim=-1), carried)
        keys = _linear(meta, "key", state.output).tanh()
        found = reading_weights(memory.rows, keys, meta[_SHARPNESS].exp()) @ memory.rows
        return _linear(meta, "answer", torch.cat([state.output, found], dim=-1))

    def _empty_memory(self) -> Memory:
        rows = torch.full((self._sizes.num_rows, self._sizes.row_size), _EMPTY)
        return Memory(rows, torch.zeros(len(rows)), torch.zeros(len(rows)))


def reading_weights(
    rows: torch.Tensor, keys: torch.Tensor, sharpness: torch.Tensor
) -> torch.Tensor:
    """Weigh rows `[M, W]` by their cosine with keys `[Q, W]`: softmax, `[Q, M]` (equation 3)."""
    lengths = torch.linalg.vector_norm(rows, dim=-1).clamp_min(_LEAST_LENGTH)
    cosines = functional.normalize(keys, dim=-1) @ (rows / lengths[:, None]).T
    weights: torch.Tensor = (sharpness * cosines).softmax(-1)
    return weights


def written(
    memory: Memory, key: torch.Tensor, gate: torch.Tensor, sharpness: torch.Tensor, decay: float
) -> Memory:
    """Write a key by least recently used access (equations 5-8).

    Args:
        memory: Before.
        key: What is read for, and written, `[W]`.
        gate: Share that goes to where was read last; the rest to the row used least, `[1]`.
        sharpness: Of the reading that follows.
        decay: Of the usage.

    Returns:
        The memory after: the row used least is emptied, then all are added to by their weights.
    """
    least = functional.one_hot(memory.usage.argmin(), len(memory.usage)).to(key.dtype)
    writing = gate * memory.last_read + (1.0 - gate) * least
    rows = memory.rows * (1.0 - least)[:, None] + writing[:, None] * key
    reading = reading_weights(rows, key[None], sharpness)[0]
    return Memory(rows, decay * memory.usage + reading + writing, reading)


def _linear(parameters: Parameters, name: str, inputs: torch.Tensor) -> torch.Tensor:
    return functional.linear(inputs, parameters[f"{name}.weight"], parameters[f"{name}.bias"])
