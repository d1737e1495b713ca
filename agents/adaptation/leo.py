"""LEO: adaptation in a space of few dimensions, from which the weights are decoded.

Rusu, Rao, Sygnowski, Vinyals, Pascanu, Osindero and Hadsell, "Meta-learning with latent embedding
optimization" (2019). An encoder looks at a task's support set and says where in a latent space to
start; a decoder turns a latent code into the head's weights. Steps go along the support loss's
gradient with respect to the code, then a few more with respect to the decoded weights.

Each of the `K` outputs has a code of its own, which decodes to its row of the head. Classes are
encoded from their own examples and values from all, always beside the target; examples are encoded
in pairs, each with every other, as in the paper's relation network. Ours: the trunk is learned
along with all this; in the paper it is fixed, trained beforehand.

Axes: `S` support examples, `K` outputs, `E` embedding, `L` latent dimensions, `U` units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch.func import vmap
from torch.nn import functional

from ..learners.settings import Settings
from .base import Differentiable
from .episodes import Episodes, Examples
from .inner_loop import Loss, descend
from .networks import HEAD, Network, Parameters

_CODE_RATE, _HEAD_RATE = "log_code_rate", "log_head_rate"
_LOG_SPREAD, _MIDDLE = 2.0, -2.0  # spreads lie between e^-4 and 1


@dataclass(frozen=True, kw_only=True)
class LEOSettings(Settings):
    """Codes, inner loops and what regularises them.

    Args:
        code_size: `L`, at least 1.
        num_units: Units of encoder and relation network, at least 1.
        code_steps: Steps on the code in meta-training, at least 0.
        head_steps: Steps on the decoded weights after them, at least 0.
        code_rate: Learning rate of the former at the start; it is learned. Above 0.
        head_rate: Learning rate of the latter at the start; it is learned. Above 0.
        divergence_weight: Of the Kullback-Leibler divergence from the drawn code to a standard
            normal, at least 0 (beta in the paper).
        encoder_weight: Of the squared way from the encoder's code to the adapted one, at least 0
            (gamma in the paper), so that encoding learns what steps find.
    """

    code_size: int = 16
    num_units: int = 32
    code_steps: int = 5
    head_steps: int = 5
    code_rate: float = 0.5
    head_rate: float = 0.01
    divergence_weight: float = 0.001
    encoder_weight: float = 1e-6

    positive: ClassVar[tuple[str, ...]] = ("code_rate", "head_rate")
    at_least: ClassVar[dict[str, float]] = {
        "code_size": 1,
        "num_units": 1,
        "code_steps": 0,
        "head_steps": 0,
        "divergence_weight": 0.0,
        "encoder_weight": 0.0,
    }


class Code(NamedTuple):
    """A distribution of codes.

    Attributes:
        mean: `[K, L]`.
        log_spread: Logarithm of the standard deviation, `[K, L]`.
    """

    mean: torch.Tensor
    log_spread: torch.Tensor

    def divergence(self) -> torch.Tensor:
        """Return the divergence from the standard normal in nats, a mean over codes and axes."""
        variance = (2.0 * self.log_spread).exp()
        return 0.5 * (self.mean.square() + variance - 1.0 - 2.0 * self.log_spread).mean()


class LatentEmbeddingOptimization(Differentiable):
    """See the module; arguments are those of `Algorithm`."""

    name = "leo"
    settings = LEOSettings
    source = "Rusu et al. (2019)"
    is_adapted_by_steps = True

    def __init__(self, network: Network, settings: LEOSettings) -> None:
        super().__init__(network, settings)
        self._leo = settings

    def initial(self, generator: torch.Generator) -> Parameters:
        """See `Algorithm.initial`: trunk, encoder, relation network, decoder and two rates."""
        drawn = self.network.initial(generator)
        meta = {name: value for name, value in drawn.items() if name not in HEAD}
        sizes, row = self._leo, self.network.embedding_size + 1
        for name, fan_out, fan_in in (
            ("encoder", sizes.num_units, row),  # an embedding and its target
            ("relation.0", sizes.num_units, 2 * sizes.num_units),
            ("relation.1", 2 * sizes.code_size, sizes.num_units),
            ("decoder", 2 * row, sizes.code_size),  # a row of the head: weights and bias
        ):
            bound = 1.0 / math.sqrt(fan_in)
            meta[name] = torch.empty(fan_out, fan_in).uniform_(-bound, bound, generator=generator)
        meta[_CODE_RATE] = torch.tensor(sizes.code_rate).log()
        meta[_HEAD_RATE] = torch.tensor(sizes.head_rate).log()
        return meta

    def loss(
        self, meta: Parameters, episodes: Episodes, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Differentiable.loss`: the query loss, and what regularises code and encoder."""
        num_codes, size = self.problem.num_outputs, self._leo.code_size
        num_tasks, row = episodes.num_tasks, self.network.embedding_size + 1
        code_noise = torch.randn(num_tasks, num_codes, size, generator=generator)
        head_noise = torch.randn(num_tasks, num_codes, row, generator=generator)

        def of_task(
            support: Examples, query: Examples, code_noise: torch.Tensor, head_noise: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            known = Examples(self.network.embed(meta, support.inputs), support.targets)
            asked = Examples(self.network.embed(meta, query.inputs), query.targets)
            code = self._encoded(meta, known)
            start = code.mean + code.log_spread.exp() * code_noise
            steps = (self._leo.code_steps, self._leo.head_steps)
            adapted, head = self._adapted(meta, known, start, head_noise, steps)
            way = (adapted.detach() - start).square().mean()
            regular = self._leo.divergence_weight * code.divergence()
            regular = regular + self._leo.encoder_weight * way
            return self._head_loss(asked)({"head": head}), regular

        query_losses, regular = vmap(of_task)(
            episodes.support, episodes.query, code_noise, head_noise
        )
        return (query_losses + regular).mean(), query_losses.mean()

    def predict(
        self,
        meta: Parameters,
        support: Examples,
        inputs: torch.Tensor,
        *,
        num_steps: int | None = None,
    ) -> torch.Tensor:
        """See `Algorithm.predict`; code and weights are taken at their means.

        `num_steps` are those on the weights: the code is adapted as in meta-training.
        """
        fixed = {name: value.detach() for name, value in meta.items()}
        steps = (
            self._leo.code_steps,
            self._leo.head_steps if num_steps is None else num_steps,
        )

        def of_task(support: Examples, queries: torch.Tensor) -> torch.Tensor:
            known = Examples(self.network.embed(fixed, support.inputs), support.targets)
            code = self._encoded(fixed, known)
            _, head = self._adapted(fixed, known, code.mean, None, steps)
            return _outputs(head, self.network.embed(fixed, queries))

        with torch.no_grad():
            return vmap(of_task)(support, inputs)

    def _encoded(self, meta: Parameters, known: Examples) -> Code:
        """Encode a task's support, embedded: a code for each output."""
        targets = self.problem.encoded(known.targets)  # [S, K]
        num_examples, num_codes = targets.shape
        embedded = known.inputs[:, None].expand(-1, num_codes, -1)
        tokens = torch.cat([embedded, targets[..., None]], dim=-1) @ meta["encoder"].T
        pairs = torch.cat(
            [
                tokens[:, None].expand(-1, num_examples, -1, -1),
                tokens[None].expand(num_examples, -1, -1, -1),
            ],
            dim=-1,
        )  # [S, S, K, 2U]
        related = (pairs @ meta["relation.0"].T).relu() @ meta["relation.1"].T
        members = targets if self.problem.is_classification else torch.ones_like(targets)
        shares = members / members.sum(0).clamp_min(1.0)  # [S, K]
        mean, log_spread = (related.mean(1) * shares[..., None]).sum(0).chunk(2, dim=-1)
        return Code(mean, _bounded(log_spread))

    def _adapted(
        self,
        meta: Parameters,
        known: Examples,
        start: torch.Tensor,
        noise: torch.Tensor | None,
        num_steps: tuple[int, int],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take steps on the code, then on the head.

        Args:
            meta: Meta-parameters.
            known: The support set, embedded.
            start: The code `[K, L]`.
            noise: Of the decoded weights, `[K, E + 1]`; None for their means.
            num_steps: On the code and on the head.

        Returns:
            The code `[K, L]` and the head `[K, E + 1]`, whose last column is the bias.
        """
        fit = self._head_loss(known)

        def decoded(code: torch.Tensor) -> torch.Tensor:
            mean, log_spread = (code @ meta["decoder"].T).chunk(2, dim=-1)
            return mean if noise is None else mean + _bounded(log_spread).exp() * noise

        def code_loss(parameters: Parameters) -> torch.Tensor:
            return fit({"head": decoded(parameters["code"])})

        code_rates = {"code": meta[_CODE_RATE].exp()}
        code = descend(code_loss, {"code": start}, code_rates, num_steps[0])["code"]
        head_rates = {"head": meta[_HEAD_RATE].exp()}
        head = descend(fit, {"head": decoded(code)}, head_rates, num_steps[1])["head"]
        return code, head

    def _head_loss(self, embedded: Examples) -> Loss:
        """Return the loss of a head on embedded examples."""

        def loss(parameters: Parameters) -> torch.Tensor:
            outputs = _outputs(parameters["head"], embedded.inputs)
            return self.problem.loss(outputs, embedded.targets)

        return loss


def _outputs(head: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
    return functional.linear(embedded, head[:, :-1], head[:, -1])


def _bounded(log_spread: torch.Tensor) -> torch.Tensor:
    return _MIDDLE + _LOG_SPREAD * (log_spread / _LOG_SPREAD).tanh()
