"""What stands in the param groups of torch optimisers, and how a group is told from others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

GROUP_HYPERPARAMETERS = ("learning_rate", "weight_decay", "momentum")
"""What is written into param groups; anything else has to be bound."""

Group = dict[str, Any]


class GroupKey:
    """What tells a param group from others, also after a state was loaded.

    It is the optimiser and the group's first weights: two optimisers may train the same ones.

    Args:
        optimizer: The group's.
        number: Which of its groups it is.
    """

    __slots__ = ("_optimizer", "_thing")

    def __init__(self, optimizer: torch.optim.Optimizer, number: int) -> None:
        parameters = optimizer.param_groups[number]["params"]
        self._optimizer = optimizer
        self._thing: Any = parameters[0] if len(parameters) else number

    def __hash__(self) -> int:
        return hash((id(self._optimizer), self._thing))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GroupKey) or self._optimizer is not other._optimizer:
            return False
        ours, theirs = self._thing, other._thing  # tensors are compared by what they are
        return ours is theirs or (type(ours) is type(theirs) is int and ours == theirs)


def is_on_a_device(value: Any) -> bool:
    """Say whether a value in a param group is a tensor that reading waits for."""
    first = value[0] if isinstance(value, tuple | list) else value
    return isinstance(first, Tensor) and first.device.type != "cpu"


def key_of(group: Group, name: str) -> str:
    """Return what torch calls a hyperparameter in a param group."""
    if name == "momentum":
        return "betas" if "betas" in group else "momentum"
    return "lr" if name == "learning_rate" else name


def has(group: Group, name: str) -> bool:
    """Say whether a param group has the hyperparameter."""
    return group.get(key_of(group, name)) is not None


def read(group: Group, name: str) -> float:
    """Read a hyperparameter of a param group; the momentum of Adam kinds is their first beta."""
    value = group[key_of(group, name)]
    return float(value[0] if isinstance(value, tuple | list) else value)


def copied(value: Any) -> Any:
    """Copy a value of a param group: torch writes into tensors, so that none may have two owners.

    Example:
        >>> rate = torch.tensor(0.5)
        >>> (other,) = copied((rate,))
        >>> _ = other.fill_(0.25)
        >>> rate.item()
        0.5
    """
    if isinstance(value, Tensor):
        return value.detach().clone()
    if type(value) in (tuple, list):
        return type(value)(map(copied, value))
    return value


def put(group: Group, name: str, value: float) -> float:
    """Write a hyperparameter of a param group, and return what `read` would."""
    key = key_of(group, name)
    present = group[key]
    if isinstance(present, tuple | list):
        if not isinstance(present[0], Tensor):
            group[key] = type(present)((value, *present[1:]))
            return value
        present[0].fill_(value)
    elif isinstance(present, Tensor):  # compiled and captured steps read the tensor itself
        present.fill_(value)
    else:
        group[key] = value
        return value
    return read(group, name)
