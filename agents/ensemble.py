"""One policy out of several that were trained alike: a network whose outputs are their mean.

Meta-training with other seeds ends with policies that are equally good and differ in detail. The
mean of their logits, which is the geometric mean of their probabilities, decides where they agree
and lets single opinions pass (Hansen and Salamon, "Neural network ensembles", 1990). Perceptrons
side by side are one perceptron with block-diagonal weights, so an ensemble is an ordinary policy.

Axes: `M` members, `W` width of a hidden layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from hpo_env.errors import ConfigurationError
from hpo_env.policy import Array, Policy

_ALIKE = ("family", "base_schedule", "head", "activation")


def combine(policies: Sequence[Policy]) -> Policy:
    """Put policies side by side and average their outputs.

    Args:
        policies: M members; with one, that one is returned.

    Returns:
        A policy of width `M * W`, without familiarity: that of a member was fitted to what the
        member saw. Its metadata are the first member's.

    Raises:
        ConfigurationError: None are given, they are not alike, or their outputs are squashed, so
            that the mean of outputs is not the mean of moves.
    """
    if not policies:
        raise ConfigurationError("an ensemble must have at least one policy; got none")
    first = policies[0]
    if len(policies) == 1:
        return first
    for other in policies[1:]:
        _check_alike(first, other)
    if first.head == "squashed":
        raise ConfigurationError("policies with head 'squashed' cannot be combined")
    *hidden, last = zip(*(p.weights for p in policies), strict=True)
    *hidden_biases, last_biases = zip(*(p.biases for p in policies), strict=True)
    weights = [block_diag(*layer) if k else np.concatenate(layer) for k, layer in enumerate(hidden)]
    # What the members share, the observation, is read by each; the mean is over their outputs.
    outputs = np.concatenate(last, axis=1) / len(policies) if hidden else np.mean(last, axis=0)
    biases = [np.concatenate(layer) for layer in hidden_biases]
    return replace(
        first,
        weights=tuple(_float32(w) for w in (*weights, outputs)),
        biases=tuple(_float32(b) for b in (*biases, np.mean(last_biases, axis=0))),
        familiarity=None,
    )


def _float32(array: NDArray[Any]) -> Array:
    return np.ascontiguousarray(array, dtype=np.float32)


def _check_alike(one: Policy, other: Policy) -> None:
    for name in _ALIKE:
        mine, its = getattr(one, name), getattr(other, name)
        if mine != its:
            raise ConfigurationError(
                f"policies of an ensemble must have the same {name}; got {mine!r} and {its!r}"
            )
    if one.space.to_json() != other.space.to_json():
        raise ConfigurationError(
            "policies of an ensemble must move the same hyperparameters; "
            f"got {one.space.names} and {other.space.names}"
        )
    if len(one.weights) != len(other.weights):
        raise ConfigurationError(
            "policies of an ensemble must have the same number of layers; "
            f"got {len(one.weights)} and {len(other.weights)}"
        )
