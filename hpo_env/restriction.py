"""A policy for fewer hyperparameters, made of one for more.

Where a hyperparameter cannot be moved, its fields of the observation are constant: 0 for position,
correction and action, -1 for `available`. So a policy that met such episodes in meta-training
(`availability` of the environment) holds a smaller policy for every choice of hyperparameters: the
constant fields become a part of the first bias, and the outputs that nobody asks for are left out.

Needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import instance
from hpo_env.errors import ConfigurationError
from hpo_env.familiarity import Familiarity
from hpo_env.hyperparameters import LEVELS
from hpo_env.observation import HYPERPARAMETER_FIELDS
from hpo_env.policy import Array, Policy

_UNAVAILABLE = {"available": -1.0}
"""Fields of a hyperparameter that cannot be moved, as the environment observes them; others: 0."""


def restrict(policy: Policy, names: Sequence[str]) -> Policy:
    """Return what a policy does where it can move some of its hyperparameters only.

    Args:
        policy: Its moves of `names` are those of the result, as float32 rounds them. Under the head
            "joint_choice" the result picks the best of the combinations that leave the others
            alone.
        names: Hyperparameters of the policy, in any order; they keep the policy's.

    Returns:
        A policy of `names`; the policy itself where these are all of its hyperparameters.

    Raises:
        UnknownNameError: A name is not one of the policy's.
        HyperparameterError: No name, or one twice.

    Example:
        >>> from hpo_env.controller import Controller
        >>> policy = Controller.from_pretrained("supervised").policy
        >>> restrict(policy, ["momentum", "learning_rate"]).space.names
        ('learning_rate', 'momentum')
    """
    asked = policy.space.subset(names).names
    kept = tuple(name for name in policy.space.names if name in asked)
    if kept == policy.space.names:
        return policy
    space = policy.space.subset(kept)
    constant = {
        f"{name}/{field}": _UNAVAILABLE.get(field, 0.0)
        for name in policy.space.names
        if name not in kept
        for field, _ in HYPERPARAMETER_FIELDS
    }
    columns = [i for i, field in enumerate(policy.fields) if field not in constant]
    gone = [i for i, field in enumerate(policy.fields) if field in constant]
    given = np.array(list(constant.values()))  # in the observation's order, as `gone` is

    weights, biases, memory = list(policy.weights), list(policy.biases), policy.memory
    if memory is None:
        weights[0], biases[0] = _without(weights[0], biases[0], columns, gone, given)
    else:
        weight, bias = _without(memory.input_weight, memory.bias, columns, gone, given)
        memory = replace(memory, input_weight=weight, bias=bias)
    rows = _outputs_of(policy, kept)
    weights[-1], biases[-1] = _float32(weights[-1][rows]), _float32(biases[-1][rows])
    return replace(
        policy,
        space=space,
        weights=tuple(weights),
        biases=tuple(biases),
        memory=memory,
        learned_start=policy.learned_start and policy.learned_start.subset(kept),
        lowest={name: value for name, value in policy.lowest.items() if name in kept},
        most_decisions={n: most for n, most in policy.most_decisions.items() if n in kept},
        familiarity=policy.familiarity
        and _restrict_familiarity(policy.familiarity, columns, gone, given),
    )


def policy_for(policies: Sequence[Policy], names: Sequence[str]) -> Policy:
    """Return what decides in a loop in which some hyperparameters can be moved.

    A policy of just these where there is one: it met nothing else in meta-training. Else the first,
    restricted. Others than the first that have a scope are for `scoped_for`.

    Args:
        policies: To choose from; the first moves whatever one of them moves.
        names: What can be moved, at least one of the first policy's.
    """
    first, *others = policies
    general = (first, *(policy for policy in others if policy.scope is None))
    just = [policy for policy in general if set(policy.space.names) == set(names)]
    return just[0] if just else restrict(first, names)


def scoped_for(policies: Sequence[Policy], names: Sequence[str]) -> Policy | None:
    """Return what decides in place of `policy_for` after intervals of its scope; mostly nothing.

    Args:
        policies: To choose from, without the first.
        names: What can be moved.
    """
    own = (policy for policy in policies[1:] if policy.scope is not None)
    return next((policy for policy in own if set(policy.space.names) == set(names)), None)


def check_together(policies: Sequence[Policy]) -> None:
    """Check that policies can decide in one controller.

    Args:
        policies: The largest first.

    Raises:
        ConfigurationError: One moves what the first does not, or corrects another schedule; or one
            that has a scope would take turns with what it cannot.
    """
    for policy in policies:
        instance("what decides", policy, Policy, hint=", as Controller.from_pretrained loads it")
    first, *others = policies
    scoped: list[frozenset[str]] = []
    for other in others:
        foreign = set(other.space.names) - set(first.space.names)
        if foreign:
            raise ConfigurationError(
                f"a smaller policy must move hyperparameters of {first.space.names}; got one "
                f"that moves {sorted(foreign)}"
            )
        if other.base_schedule != first.base_schedule:
            raise ConfigurationError(
                f"a smaller policy must correct the schedule {first.base_schedule!r}, as the "
                f"larger does; got one of {other.base_schedule!r}"
            )
        if other.scope is not None:
            _check_turns(other, policy_for(policies, other.space.names))
            scoped.append(frozenset(other.space.names))
    if len(set(scoped)) < len(scoped):
        raise ConfigurationError(
            "of the same hyperparameters one policy may have a scope; got "
            f"{len(scoped)} that have one: leave one out"
        )


def _check_turns(policy: Policy, general: Policy) -> None:
    """Check that a policy that has a scope can decide in place of the general one."""
    if policy.memory is not None or general.memory is not None:
        raise ConfigurationError(
            "a policy that has a scope takes turns with another, so that neither may have a memory"
        )
    if policy.fields != general.fields or policy.loss_floor != general.loss_floor:
        raise ConfigurationError(
            "a policy that has a scope must read the observation of the one that it takes turns "
            f"with, {len(general.fields)} entries in their order and losses from "
            f"{general.loss_floor:g} on; got {len(policy.fields)} and {policy.loss_floor:g}"
        )


def _without(
    weight: Array,
    bias: Array,
    columns: Sequence[int],
    gone: Sequence[int],
    given: NDArray[np.float64],
) -> tuple[Array, Array]:
    """Return weight and bias of a layer some of whose inputs are always as given."""
    constant = weight[:, gone].astype(np.float64) @ given
    return _float32(weight[:, columns]), _float32(bias + constant)


def _outputs_of(policy: Policy, kept: Sequence[str]) -> NDArray[np.intp]:
    """Return the outputs of some hyperparameters, in order."""
    places = np.arange(policy.layer_sizes[-1])
    if policy.head == "joint_choice":
        by_choice = places.reshape(policy.num_members, *(len(LEVELS),) * len(policy.space))
        still = int(np.flatnonzero(LEVELS == 0.0)[0])
        choices = [slice(None) if name in kept else still for name in policy.space.names]
        return np.ravel(by_choice[(slice(None), *choices)])
    by_name = places.reshape(policy.num_members, len(policy.space), -1)
    return np.ravel(by_name[:, [policy.space.index(name) for name in kept]])


def _restrict_familiarity(
    known: Familiarity, columns: Sequence[int], gone: Sequence[int], given: NDArray[np.float64]
) -> Familiarity:
    """Measure the same distance in the fields that are left.

    With some fields constant, deviations `(x - mean) @ whitening` are `(x - m) @ A + c`, of the `k`
    fields left, with a constant `c` `[D]`. Least squares split it into `s @ A`, which moves the
    mean, and a rest at right angles to all rows of A: the offset. With `A.T = Q @ R` the square of
    the first part is `|(x - m + s) @ R.T|**2`. Fields that the policy does not know have rows of 0
    in A (`hpo_env.policy_file.load`), so it need not have full rank.
    """
    whitening = known.whitening.astype(np.float64)
    constant = (given - known.mean[gone]) @ whitening[gone]
    kept = whitening[columns].T  # [D, k]
    shift, *_ = np.linalg.lstsq(kept, constant)
    rest = float(np.linalg.norm(constant - kept @ shift))
    return Familiarity(
        mean=_float32(known.mean[columns] - shift),
        whitening=_float32(np.linalg.qr(kept).R.T),
        threshold=known.threshold,
        offset=float(np.hypot(known.offset, rest)),
    )


def _float32(array: NDArray[Any]) -> Array:
    return np.ascontiguousarray(array, dtype=np.float32)
