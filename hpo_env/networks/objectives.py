"""What a network is to learn: the loss, and the number beside it that people read.

An objective says everything that follows from what the targets are: how many outputs a network
needs, the loss of a row and what label smoothing does to it, what noise does to targets, and the
metric. Each is written twice: for N lanes at once, and for one lane by torch's own functions, which
is what the batched form is tested against.

Adding one costs a class here with a line in `OBJECTIVES`; an engine that is to train by it computes
it in its step and in its kernels.

Axes: `N` lanes, `B` rows, `K` outputs, padding included; `S` tokens of a row, where it is a text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.errors import unknown_name

_NOT_AN_OUTPUT = -1e9  # exp of it is 0, and unlike -inf it leaves no NaN behind
_CONSTANT = 1e-8
"""Targets whose spread is so small beside their mean are all alike."""

Float64 = NDArray[np.float64]


class Objective(ABC):
    """A kind of target, and how far off outputs are from it."""

    name: ClassVar[str]

    @abstractmethod
    def num_outputs(self, num_classes: int) -> int:
        """Return how many real outputs a network needs.

        Args:
            num_classes: How many values a target may have, where they can be counted.
        """

    @abstractmethod
    def prepared(
        self,
        parts: Sequence[Float64],
        *,
        num_classes: int,
        label_noise: float,
        target_noise: float,
        rng: np.random.Generator,
    ) -> list[Float64]:
        """Scale the targets, and add the noise that concerns them.

        Args:
            parts: Targets of training, validation and test rows; the first decides scales.
            num_classes: How many values a target may have, where they can be counted.
            label_noise: Share of labels that are replaced by random ones.
            target_noise: Standard deviation of noise on a standardised number.
            rng: Where noise comes from; nothing is drawn where there is none.
        """

    @abstractmethod
    def row_losses(
        self, outputs: Tensor, y: Tensor, num_outputs: Tensor, smoothing: Tensor
    ) -> Tensor:
        """Compute the loss of each row.

        Args:
            outputs: `[N, B, K]`.
            y: Targets `[N, B]`.
            num_outputs: Real outputs `[N]`.
            smoothing: Label smoothing `[N]`, from 0 to below 1.

        Returns:
            Losses `[N, B]`.
        """

    @abstractmethod
    def row_scores(self, outputs: Tensor, y: Tensor, num_outputs: Tensor) -> Tensor:
        """Score each row, where the metric is a mean over rows; else 0 `[N, B]`."""

    @abstractmethod
    def metric(self, loss: Float64, score: Float64, variance: Float64) -> Float64:
        """Work the metric out, higher being better, `[N]`.

        Args:
            loss: Mean loss of the rows `[N]`, without smoothing.
            score: Mean of `row_scores` `[N]`.
            variance: Of the rows' targets `[N]`.
        """

    @abstractmethod
    def reference_loss(self, outputs: Tensor, y: Tensor, smoothing: float) -> Tensor:
        """Compute the mean loss of one lane by torch's own function, a tensor without axes.

        Args:
            outputs: Real outputs of one lane, without the lane axis.
            y: Its targets.
            smoothing: Label smoothing.
        """

    @abstractmethod
    def reference_score(self, outputs: Tensor, y: Tensor) -> float:
        """Compute the mean of `row_scores` of one lane by torch's own functions."""


@dataclass(frozen=True)
class Classification(Objective):
    """A label: cross-entropy over the lane's real classes, and the share of right guesses.

    Label smoothing takes its share from the label and gives it to all classes evenly, the label
    among them, as `torch.nn.functional.cross_entropy` does.
    """

    name: ClassVar[str] = "classification"

    def num_outputs(self, num_classes: int) -> int:
        """Return the number of classes."""
        return num_classes

    def prepared(
        self,
        parts: Sequence[Float64],
        *,
        num_classes: int,
        label_noise: float,
        target_noise: float,
        rng: np.random.Generator,
    ) -> list[Float64]:
        """Replace a share of the labels by random ones."""
        if not label_noise:
            return list(parts)
        return [
            np.where(rng.random(y.shape) < label_noise, rng.integers(num_classes, size=y.shape), y)
            for y in parts
        ]

    def row_losses(
        self, outputs: Tensor, y: Tensor, num_outputs: Tensor, smoothing: Tensor
    ) -> Tensor:
        """Compute cross-entropies `[N, B]`."""
        output = torch.arange(outputs.shape[2], device=outputs.device)
        is_output = output < num_outputs[:, None, None]
        log_shares = torch.log_softmax(torch.where(is_output, outputs, _NOT_AN_OUTPUT), -1)
        uniform_share = (smoothing / num_outputs)[:, None, None]
        is_label = output == y[:, :, None]
        wanted = torch.where(
            is_label, 1.0 - smoothing[:, None, None] + uniform_share, uniform_share
        )
        return -(torch.where(is_output, wanted, 0.0) * log_shares).sum(-1)

    def row_scores(self, outputs: Tensor, y: Tensor, num_outputs: Tensor) -> Tensor:
        """Say whether the guess is right, 0 or 1, `[N, B]`."""
        output = torch.arange(outputs.shape[2], device=outputs.device)
        is_output = output < num_outputs[:, None, None]
        guess = torch.where(is_output, outputs, _NOT_AN_OUTPUT).argmax(-1)
        return torch.where(guess == y, 1.0, 0.0)

    def metric(self, loss: Float64, score: Float64, variance: Float64) -> Float64:
        """Return the accuracy."""
        return score

    def reference_loss(self, outputs: Tensor, y: Tensor, smoothing: float) -> Tensor:
        """Compute the cross-entropy of outputs `[B, K]` and labels `[B]`."""
        return F.cross_entropy(outputs, y.long(), label_smoothing=smoothing)

    def reference_score(self, outputs: Tensor, y: Tensor) -> float:
        """Compute the accuracy of outputs `[B, K]` and labels `[B]`."""
        return float((outputs.argmax(-1) == y).double().mean())


@dataclass(frozen=True)
class Regression(Objective):
    """A number: squared error of the first output, and R².

    The target is standardised by the training rows. Label smoothing means nothing to it.
    """

    name: ClassVar[str] = "regression"

    def num_outputs(self, num_classes: int) -> int:
        """Return 1."""
        return 1

    def prepared(
        self,
        parts: Sequence[Float64],
        *,
        num_classes: int,
        label_noise: float,
        target_noise: float,
        rng: np.random.Generator,
    ) -> list[Float64]:
        """Standardise by the first part, then add normal noise."""
        mean, std = parts[0].mean(), parts[0].std()
        std = std if std > _CONSTANT * abs(mean) else 1.0
        scaled = [(y - mean) / std for y in parts]
        if not target_noise:
            return scaled
        return [y + target_noise * rng.standard_normal(y.shape) for y in scaled]

    def row_losses(
        self, outputs: Tensor, y: Tensor, num_outputs: Tensor, smoothing: Tensor
    ) -> Tensor:
        """Compute squared errors `[N, B]`."""
        error = outputs[:, :, 0] - y
        return error * error

    def row_scores(self, outputs: Tensor, y: Tensor, num_outputs: Tensor) -> Tensor:
        """Return 0: R² follows from the loss."""
        return torch.zeros_like(y)

    def metric(self, loss: Float64, score: Float64, variance: Float64) -> Float64:
        """Return R²; infinite or NaN where all targets are alike."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            r2: Float64 = 1.0 - loss / variance
        return r2

    def reference_loss(self, outputs: Tensor, y: Tensor, smoothing: float) -> Tensor:
        """Compute the mean squared error of outputs `[B, K]` and numbers `[B]`."""
        return F.mse_loss(outputs[:, 0], y)

    def reference_score(self, outputs: Tensor, y: Tensor) -> float:
        """Return 0."""
        return 0.0


@dataclass(frozen=True)
class Tokens(Objective):
    """A text: cross-entropy of each next token, averaged over a row, and the share guessed right.

    A row is `S` tokens, S being 2 at least, and has outputs at each of them: `[N, B, S, K]` with
    targets `[N, B, S]`, the row itself. Outputs at a token are about the next one, so that those at
    the last token are about nothing and may be left out. Smoothing and noise are those of
    `Classification`.
    """

    name: ClassVar[str] = "tokens"
    _one: ClassVar[Classification] = Classification()

    def num_outputs(self, num_classes: int) -> int:
        """Return the size of the vocabulary."""
        return num_classes

    def prepared(
        self,
        parts: Sequence[Float64],
        *,
        num_classes: int,
        label_noise: float,
        target_noise: float,
        rng: np.random.Generator,
    ) -> list[Float64]:
        """Replace a share of the tokens by random ones, each part `[R, S]`."""
        return self._one.prepared(
            parts,
            num_classes=num_classes,
            label_noise=label_noise,
            target_noise=target_noise,
            rng=rng,
        )

    def row_losses(
        self, outputs: Tensor, y: Tensor, num_outputs: Tensor, smoothing: Tensor
    ) -> Tensor:
        """Compute the mean cross-entropy of each row's next tokens `[N, B]`."""
        flat = self._one.row_losses(*_next_tokens(outputs, y), num_outputs, smoothing)
        return flat.reshape(*y.shape[:2], -1).mean(-1)

    def row_scores(self, outputs: Tensor, y: Tensor, num_outputs: Tensor) -> Tensor:
        """Compute the share of each row's next tokens that are guessed right `[N, B]`."""
        flat = self._one.row_scores(*_next_tokens(outputs, y), num_outputs)
        return flat.reshape(*y.shape[:2], -1).mean(-1)

    def metric(self, loss: Float64, score: Float64, variance: Float64) -> Float64:
        """Return the share of next tokens that are guessed right."""
        return score

    def reference_loss(self, outputs: Tensor, y: Tensor, smoothing: float) -> Tensor:
        """Compute the cross-entropy of outputs `[B, S, K]` and tokens `[B, S]`."""
        told = outputs[:, : y.shape[1] - 1]
        return F.cross_entropy(told.transpose(1, 2), y[:, 1:].long(), label_smoothing=smoothing)

    def reference_score(self, outputs: Tensor, y: Tensor) -> float:
        """Compute the share of next tokens that are guessed right."""
        return self._one.reference_score(outputs[:, : y.shape[1] - 1], y[:, 1:])


def _next_tokens(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Turn every token but a row's last into a row: `[N, B * (S - 1), K]`, `[N, B * (S - 1)]`."""
    n, k = outputs.shape[0], outputs.shape[3]
    return outputs[:, :, : y.shape[2] - 1].reshape(n, -1, k), y[:, :, 1:].reshape(n, -1)


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective for objective in (Classification(), Regression(), Tokens())
}
"""By name; data sets of rows name theirs as their `kind`."""


def objective(name: str) -> Objective:
    """Look an objective up.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.

    Example:
        >>> objective("regression").num_outputs(num_classes=0)
        1
    """
    if name not in OBJECTIVES:
        raise unknown_name("objective", name, OBJECTIVES)
    return OBJECTIVES[name]
