"""What every algorithm is: of meta-parameters it says where to go, and predicts by a support set.

Adding one costs a file, a line in `registry.py` and no test: the contract suite
(`agents.testing.adaptation`) finds it through the registry. One from outside needs no line: its
address, `module:Class`, stands wherever a name may.

Axes: `B` tasks, `S` support examples, `Q` query examples, `K` outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch

from ..learners.settings import Settings
from .episodes import Episodes, Examples
from .networks import Network, Parameters
from .problems import Problem


class MetaGradient(NamedTuple):
    """What a batch of tasks says.

    Attributes:
        gradient: A direction of descent, by name of the meta-parameter; the mean over tasks.
        loss: The mean query loss, after adaptation where the algorithm computes it.
    """

    gradient: Parameters
    loss: float


class Algorithm(ABC):
    """A meta-learning algorithm for one network. It holds no weights and no state.

    Args:
        network: What is adapted, or embeds.
        settings: An instance of its `settings`.

    Raises:
        ConfigurationError: The algorithm cannot do such a problem.
    """

    name: ClassVar[str]
    """What it is called on the command line."""

    settings: ClassVar[type[Settings]]
    """The settings that it reads."""

    source: ClassVar[str]
    """The paper that it comes from."""

    kinds: ClassVar[tuple[str, ...]] = ("classification", "regression")
    """Kinds of problem that it can do."""

    is_adapted_by_steps: ClassVar[bool] = False
    """Whether `predict` takes gradient steps, whose number the caller may choose."""

    def __init__(self, network: Network, settings: Any) -> None:
        self.network = network
        self.told: Settings = settings

    @property
    def problem(self) -> Problem:
        """What is predicted from what."""
        return self.network.problem

    @abstractmethod
    def initial(self, generator: torch.Generator) -> Parameters:
        """Draw meta-parameters to start from."""

    @abstractmethod
    def gradient(
        self, meta: Parameters, episodes: Episodes, generator: torch.Generator
    ) -> MetaGradient:
        """Return where the meta-parameters should go.

        Args:
            meta: Meta-parameters; they are not changed.
            episodes: A batch of training tasks.
            generator: For what the algorithm draws.
        """

    @abstractmethod
    def predict(
        self,
        meta: Parameters,
        support: Examples,
        inputs: torch.Tensor,
        *,
        num_steps: int | None = None,
    ) -> torch.Tensor:
        """Adapt to each task's support set and predict; nothing is drawn.

        Args:
            meta: Meta-parameters; they are not changed.
            support: The examples of each task, `[B, S, ...]`.
            inputs: What to predict, `[B, Q, ...]`.
            num_steps: Gradient steps of adaptation, at least 0; those of the settings when not
                given, and without meaning where the algorithm takes none.

        Returns:
            Logits or values, `[B, Q, K]`, without a graph.
        """


class Differentiable(Algorithm):
    """An algorithm whose direction is the gradient of a loss over tasks.

    Subclasses write the loss.
    """

    @abstractmethod
    def loss(
        self, meta: Parameters, episodes: Episodes, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what is descended on and the query loss, both means over tasks, with a graph."""

    def gradient(
        self, meta: Parameters, episodes: Episodes, generator: torch.Generator
    ) -> MetaGradient:
        """See `Algorithm.gradient`."""
        leaves = {name: value.detach().requires_grad_() for name, value in meta.items()}
        total, query_loss = self.loss(leaves, episodes, generator)
        found = torch.autograd.grad(total, list(leaves.values()), materialize_grads=True)
        return MetaGradient(dict(zip(leaves, found, strict=True)), float(query_loss.detach()))
