"""Several models as one: greedy selection from what each says of the validation rows.

Models are added one after the other, each time the one that makes the mean of the chosen best, and
any of them may be chosen again: a model's weight is how often it was (Caruana, Niculescu-Mizil,
Crew and Ksikes, "Ensemble selection from libraries of models", 2004).

Axes: `M` models, `R` rows, `C` columns of what a model says: one number, or a share for each class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.automl.task import Target

Array = NDArray[np.float64]

_NUM_CHOICES = 40
_LEAST_SHARE = 1e-15


def outputs_of(target: Target, scores: Array) -> Array:
    """Turn scores `[R, K]` into what can be averaged `[R, C]`: shares of classes, or the mean.

    Example:
        >>> outputs_of("binary", np.array([[0.0]])).tolist()
        [[0.5, 0.5]]
    """
    if target == "regression":
        return scores
    if target == "binary":
        positive = 1.0 / (1.0 + np.exp(-np.clip(scores[:, 0], -700.0, 700.0)))
        return np.stack([1.0 - positive, positive], axis=1)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def loss_of_outputs(target: Target, outputs: Array, y: Array, weight: Array | None) -> float:
    """Measure outputs `[R, C]` against targets `[R]`: root mean square error, or log loss."""
    if target == "regression":
        return float(np.sqrt(np.average(np.square(outputs[:, 0] - y), weights=weight)))
    shares = outputs[np.arange(len(y)), y.astype(np.int64)]
    return -float(np.average(np.log(np.clip(shares, _LEAST_SHARE, 1.0)), weights=weight))


def greedy_weights(
    target: Target, outputs: Sequence[Array], y: Array, weight: Array | None
) -> Array:
    """Choose models and their weights.

    Args:
        target: What is predicted.
        outputs: What each model says of the validation rows, M of `[R, C]`.
        y: Their targets `[R]`.
        weight: Of the rows `[R]`; None: all alike.

    Returns:
        A weight for each model `[M]`, 0 or more, that add up to 1.

    Example:
        >>> low, high = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
        >>> greedy_weights("regression", [low, high], np.array([1.0, 2.0]), None).tolist()
        [0.5, 0.5]
    """
    chosen = np.zeros(len(outputs))
    best_of_all, best_weights = np.inf, chosen
    total = np.zeros_like(outputs[0])
    for count in range(1, _NUM_CHOICES + 1):
        losses = [loss_of_outputs(target, (total + one) / count, y, weight) for one in outputs]
        place = int(np.argmin(losses))
        chosen[place] += 1.0
        total = total + outputs[place]
        if losses[place] < best_of_all:  # of equally good ones the fewest models
            best_of_all, best_weights = losses[place], chosen / count
    return best_weights
