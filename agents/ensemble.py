"""One policy out of several that were trained alike: networks whose moves are averaged.

Meta-training with other seeds ends with policies that are equally good and differ in detail. The
mean of their moves goes where they agree and lets single opinions pass (Hansen and Salamon, "Neural
network ensembles", 1990). Perceptrons side by side are one perceptron with block-diagonal weights,
so an ensemble is an ordinary policy, whose outputs are those of its members one after the other.

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
from hpo_env.lstm import NUM_GATES, Lstm
from hpo_env.policy import Array, Policy

_ALIKE = ("family", "base_schedule", "head", "activation", "learned_start", "kinds", "lowest")


def combine(policies: Sequence[Policy]) -> Policy:
    """Put policies side by side, so that their moves are averaged.

    Args:
        policies: M members; with one, that one is returned.

    Returns:
        A policy of width `M * W`, without familiarity: that of a member was fitted to what the
        member saw. Its metadata are the first member's.

    Raises:
        ConfigurationError: None are given, or they are not alike.
    """
    if not policies:
        raise ConfigurationError("an ensemble must have at least one policy; got none")
    first = policies[0]
    if len(policies) == 1:
        return first
    for other in policies[1:]:
        _check_alike(first, other)
    layers = zip(*(p.weights for p in policies), strict=True)
    memories = [policy.memory for policy in policies if policy.memory is not None]
    # The observation is read by every member, each later layer by its own alone.
    weights = [
        block_diag(*layer) if k or memories else np.concatenate(layer)
        for k, layer in enumerate(layers)
    ]
    biases = [np.concatenate(layer) for layer in zip(*(p.biases for p in policies), strict=True)]
    return replace(
        first,
        weights=tuple(map(_float32, weights)),
        biases=tuple(map(_float32, biases)),
        familiarity=None,
        memory=_side_by_side(memories) if memories else None,
    )


def interpolate(one: Policy, other: Policy, share: float) -> Policy:
    """Average the weights of two policies, of which one went on from the other.

    Between what a network knew and what it has learned since there is often a place that is better
    than both (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022). Networks that were
    begun apart have no such place: their units do not correspond.

    Args:
        one: What was learned first.
        other: What came of it.
        share: Of the latter, in [0, 1]; 0 is the first and 1 the second.

    Returns:
        A policy of the same shape, without familiarity, with the metadata of `other`.

    Raises:
        ConfigurationError: They are not alike, or have layers of other widths.
    """
    _check_alike(one, other)
    if one.layer_sizes != other.layer_sizes or one.memory is not None:
        raise ConfigurationError(
            "weights can be averaged of perceptrons of the same widths, without a memory; got "
            f"{one.layer_sizes} and {other.layer_sizes}"
        )

    def between(first: tuple[Array, ...], second: tuple[Array, ...]) -> tuple[Array, ...]:
        pairs = zip(first, second, strict=True)
        return tuple(_float32((1.0 - share) * a + share * b) for a, b in pairs)

    return replace(
        other,
        weights=between(one.weights, other.weights),
        biases=between(one.biases, other.biases),
        familiarity=None,
    )


def split(policy: Policy) -> list[Policy]:
    """Take an ensemble apart into the policies that it was made of: the inverse of `combine`.

    Args:
        policy: One that `agents.zoo.ship` made, or one that is no ensemble.

    Returns:
        Its members, in the order of `metadata["members"]`, each with its entry of them added to
        what they share; the policy itself where there are none.

    Raises:
        ConfigurationError: It has a memory.
    """
    members = policy.metadata.get("members", ())
    if len(members) < 2:
        return [policy]
    if policy.memory is not None:
        raise ConfigurationError("an ensemble of policies with a memory cannot be taken apart")
    shared = {name: value for name, value in policy.metadata.items() if name != "members"}
    count = len(members)
    weights = [
        [
            part if k == 0 else np.split(part, count, axis=1)[i]
            for i, part in enumerate(np.split(weight, count))
        ]
        for k, weight in enumerate(policy.weights)
    ]
    biases = [np.split(bias, count) for bias in policy.biases]
    return [
        replace(
            policy,
            weights=tuple(_float32(layer[i]) for layer in weights),
            biases=tuple(_float32(layer[i]) for layer in biases),
            familiarity=None,
            metadata=shared | dict(member),
        )
        for i, member in enumerate(members)
    ]


def _side_by_side(memories: Sequence[Lstm]) -> Lstm:
    """Return one memory out of several that do not touch each other."""

    def gates(array: Array) -> NDArray[Any]:
        return array.reshape(NUM_GATES, -1, *array.shape[1:])

    hidden = zip(*(gates(m.hidden_weight) for m in memories), strict=True)
    inputs = np.concatenate([gates(m.input_weight) for m in memories], axis=1)
    return Lstm(
        input_weight=_float32(inputs.reshape(-1, inputs.shape[2])),
        hidden_weight=_float32(np.concatenate([block_diag(*gate) for gate in hidden])),
        bias=_float32(np.concatenate([gates(m.bias) for m in memories], axis=1).ravel()),
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
    if (one.memory is None) != (other.memory is None):
        raise ConfigurationError("policies of an ensemble must all have a memory, or none of them")
    if len(one.weights) != len(other.weights):
        raise ConfigurationError(
            "policies of an ensemble must have the same number of layers; "
            f"got {len(one.weights)} and {len(other.weights)}"
        )
