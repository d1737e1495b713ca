"""What decides the content of a cell, as a hash.

Keys are made of inputs alone. Those of cells that need a tuning hold the tuning's own key and not
what came out of it, so all keys are known before anything has run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from hpo_env.errors import ConfigurationError
from hpo_env.policy import Policy

from ..opponents.base import Instance, Opponent
from ..opponents.lanes import Workload

PROTOCOL = 3
"""Raised when the same inputs give other outcomes than before: cells of older numbers are left."""


def canonical_json(data: Any) -> str:
    """Write plain data in the one way that equal data is written.

    Example:
        >>> canonical_json({"b": (1, 2.5), "a": None})
        '{"a":null,"b":[1,2.5]}'
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


def digest(data: Any) -> str:
    """Hash plain data: 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()


def policy_fingerprint(policy: Policy) -> str:
    """Hash all that decides what a policy does; its metadata does not."""
    head = {
        "family": policy.family,
        "space": policy.space.to_json(),
        "base_schedule": policy.base_schedule,
        "head": policy.head,
        "activation": policy.activation,
        "fields": list(policy.fields),
        "loss_floor": policy.loss_floor,
        "threshold": None if policy.familiarity is None else policy.familiarity.threshold,
        "offset": None if policy.familiarity is None else policy.familiarity.offset,
    }
    if policy.lowest:
        head["lowest"] = dict(policy.lowest)
    content = hashlib.sha256(canonical_json(head).encode())
    for name, tensor in sorted(policy.tensors().items()):
        content.update(name.encode() + str(tensor.shape).encode() + tensor.tobytes())
    return content.hexdigest()


def describe_opponent(opponent: Opponent, hyperparameters: Sequence[str]) -> dict[str, Any]:
    """Describe an opponent in plain data: what it is, and the policies that it holds.

    Raises:
        ConfigurationError: Its identity is not plain data.
    """
    held = {f.name: getattr(opponent, f.name) for f in fields(opponent)}
    policies = {n: policy_fingerprint(p) for n, p in held.items() if isinstance(p, Policy)}
    identity = opponent.identity()
    try:
        canonical_json(identity)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"opponent {opponent.name!r}: identity() must return plain data, which JSON can hold: "
            f"{error}"
        ) from error
    return {"identity": identity, "policies": policies, "hyperparameters": list(hyperparameters)}


def describe_workload(workload: Workload) -> dict[str, Any]:
    """Describe what runs are trained on; how many train at once changes nothing."""
    return {
        "family": workload.family,
        "options": dict(workload.options),
        "engine": workload.engine,
        "device": workload.device,
    }


def describe_cell(
    opponent: dict[str, Any], workload: dict[str, Any], instance: Instance, preparation: str | None
) -> dict[str, Any]:
    """Describe a cell; its key is the `digest` of this.

    Args:
        opponent: What `describe_opponent` returned.
        workload: What `describe_workload` returned.
        instance: A canonical one.
        preparation: Key of the opponent's preparation; None if it needs none.
    """
    return {
        "protocol": PROTOCOL,
        "opponent": opponent,
        "bench": workload,
        "task": instance.task.to_json(),
        "seed": instance.seed,
        "preparation": preparation,
    }


def describe_preparation(
    opponent: dict[str, Any], workload: dict[str, Any], instances: Sequence[Instance]
) -> dict[str, Any]:
    """Describe a preparation on meta-training instances; its key is the `digest` of this."""
    return {
        "protocol": PROTOCOL,
        "opponent": opponent,
        "bench": workload,
        "instances": [{"task": i.task.to_json(), "seed": i.seed} for i in instances],
    }
