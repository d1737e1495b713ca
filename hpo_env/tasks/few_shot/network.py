"""Perceptrons of many lanes at once: losses and gradients, written out.

The weights of a lane lie in one row. Where classes are told apart, the head is made from the
support set: the logit of a class is the negative squared distance to its prototype, which is linear
in the embedding but for a part that is the same for all classes (Snell, Swersky and Zemel 2017,
equation 8; Triantafillou et al., "Meta-Dataset", 2020, section 3). It is adapted like all else.

Nothing is reduced over lanes, and matrices are multiplied lane by lane, so that a lane does not
depend on its neighbours.

Axes: `n` lanes, `P` weights of a lane, `R` rows, `F` inputs, `E` embedding, `K` outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_LEAST = 1e-30  # of a probability, before its logarithm


@dataclass(frozen=True)
class Perceptron:
    """The shapes of a network.

    Args:
        widths: Inputs, and units of each hidden layer; the last is the embedding.
        num_outputs: `K`.
        is_classification: Whether outputs are logits.
    """

    widths: tuple[int, ...]
    num_outputs: int
    is_classification: bool

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Every matrix, by name, in the order of the row; biases are matrices of one row."""
        shapes = {}
        sizes = (*self.widths, self.num_outputs)
        for layer in range(len(sizes) - 1):
            name = self.layer_name(layer)
            shapes[f"{name}.weight"] = (sizes[layer], sizes[layer + 1])
            shapes[f"{name}.bias"] = (1, sizes[layer + 1])
        return shapes

    @property
    def num_layers(self) -> int:
        """Matrices between inputs and outputs, the head included."""
        return len(self.widths)

    def layer_name(self, layer: int) -> str:
        """Name a layer: its number, or `head`."""
        return "head" if layer == len(self.widths) - 1 else str(layer)

    def views(self, flat: Float32) -> dict[str, Float32]:
        """Look at rows of weights `[n, P]` as matrices `[n, ., .]`, which share their memory."""
        views, first = {}, 0
        for name, (rows, columns) in self.shapes.items():
            last = first + rows * columns
            views[name] = flat[:, first:last].reshape(len(flat), rows, columns)
            first = last
        return views

    def row(self, matrices: Mapping[str, Float32]) -> Float32:
        """Lay matrices out in a row `[P]`: the inverse of `views` for one lane."""
        return np.concatenate([np.ravel(matrices[name]) for name in self.shapes])

    def activations(self, flat: Float32, inputs: Float32) -> list[Float32]:
        """Return inputs `[n, R, F]` and what each layer makes of them, the outputs last."""
        matrices, values = self.views(flat), [inputs]
        with np.errstate(over="ignore", invalid="ignore"):  # a lane may have diverged
            for layer in range(self.num_layers):
                name = self.layer_name(layer)
                sums = values[-1] @ matrices[f"{name}.weight"] + matrices[f"{name}.bias"]
                values.append(sums if layer == self.num_layers - 1 else np.maximum(sums, 0.0))
        return values

    def losses(self, outputs: Float32, targets: Float32, temperature: Float64) -> Float64:
        """Return the loss of every row `[n, R]`: cross entropy in nats, or squared error.

        Args:
            outputs: `[n, R, K]`.
            targets: One-hot classes or values `[n, R, K]`.
            temperature: Of each lane `[n]`; of values, nothing.
        """
        if not self.is_classification:
            errors = outputs.astype(np.float64) - targets
            with np.errstate(over="ignore", invalid="ignore"):
                return np.asarray(np.square(errors).mean(axis=2))
        shares = probabilities(outputs, temperature)
        return np.asarray(-np.log(np.maximum((shares * targets).sum(axis=2), _LEAST)))

    def gradient(
        self, flat: Float32, inputs: Float32, targets: Float32, temperature: Float64
    ) -> tuple[Float64, Float32]:
        """Return the mean loss of each lane `[n]`, and its gradient `[n, P]`."""
        values, matrices = self.activations(flat, inputs), self.views(flat)
        losses = self.losses(values[-1], targets, temperature)
        num_rows = inputs.shape[1]
        if self.is_classification:
            excess = probabilities(values[-1], temperature) - targets
            scale = 1.0 / (temperature[:, None, None] * num_rows)
            errors: Float32 = (scale * excess).astype(np.float32)
        else:
            errors = (values[-1] - targets) * np.float32(2.0 / (num_rows * self.num_outputs))
        found = np.empty_like(flat)
        gradients = self.views(found)
        ones = np.ones((1, num_rows), np.float32)
        for layer in reversed(range(self.num_layers)):
            name = self.layer_name(layer)
            gradients[f"{name}.weight"][...] = values[layer].swapaxes(1, 2) @ errors
            gradients[f"{name}.bias"][...] = ones @ errors
            if layer:
                back = errors @ matrices[f"{name}.weight"].swapaxes(1, 2)
                errors = np.where(values[layer] > 0.0, back, np.float32(0.0))
        return losses.mean(axis=1), found


def probabilities(logits: Float32, temperature: Float64) -> Float64:
    """Return probabilities of classes `[n, R, K]` at a temperature of each lane `[n]`."""
    scaled = logits.astype(np.float64) / temperature[:, None, None]
    with np.errstate(over="ignore", invalid="ignore"):
        powers = np.exp(scaled - scaled.max(axis=2, keepdims=True))
    return np.asarray(powers / powers.sum(axis=2, keepdims=True))


def prototype_head(embedded: Float32, targets: Float32, scale: float) -> dict[str, Float32]:
    """Return the head of the distances to prototypes.

    Args:
        embedded: Support rows `[R, E]`.
        targets: Their classes, one-hot `[R, K]`, none of them without a row.
        scale: What squared distances are multiplied by.

    Example:
        >>> head = prototype_head(np.float32([[0, 2], [1, 0]]), np.eye(2, dtype=np.float32), 1.0)
        >>> head["head.weight"].tolist(), head["head.bias"].tolist()
        ([[0.0, 2.0], [4.0, 0.0]], [[-4.0, -1.0]])
    """
    prototypes = (targets.T @ embedded) / targets.sum(axis=0)[:, None]
    factor = np.float32(scale)
    return {
        "head.weight": 2.0 * factor * prototypes.T,
        "head.bias": -factor * np.square(prototypes).sum(axis=1)[None],
    }
