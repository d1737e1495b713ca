"""Writers of torch: hyperparameters in param groups, dropout layers, gradient clipping.

Axes: `G` param groups, over all optimisers of the run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hpo_env.errors import ConfigurationError

GROUP_HYPERPARAMETERS = ("learning_rate", "weight_decay", "momentum")
"""What is written into param groups; anything else has to be bound."""

Group = dict[str, Any]

_LEAST_RMSPROP_MOMENTUM = 1e-6  # not 0: see `_lacks_momentum`


class DropoutWriter:
    """The dropout layers of a model, which keep their ratios; layers without dropout stay so.

    Args:
        layers: Those with a rate above 0, at least one.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.layers = list(layers)
        rates = [float(layer.p) for layer in self.layers]  # type: ignore[arg-type]
        self.initial = max(rates)
        self.ratios = [rate / self.initial for rate in rates]

    @classmethod
    def of(cls, model: nn.Module | None) -> DropoutWriter | None:
        """Find the layers; None where there are none, or where a change would compile anew."""
        if model is None or hasattr(
            model, "_orig_mod"
        ):  # a compiled model holds rates as constants
            return None
        kind = nn.modules.dropout._DropoutNd
        layers = [m for m in model.modules() if isinstance(m, kind) and m.p > 0.0]
        return cls(layers) if layers else None

    def write(self, value: float) -> float:
        """Set every layer's rate."""
        for layer, ratio in zip(self.layers, self.ratios, strict=True):
            layer.p = value * ratio  # type: ignore[assignment]
        return max(float(layer.p) for layer in self.layers)  # type: ignore[arg-type]


class GroupWriter:
    """One hyperparameter in all param groups, which keep the ratios of their base values.

    The value of the whole is that of the reference, the group whose base value was the largest at
    the start. For momentum it is `1 - momentum` that keeps its ratios.

    Args:
        name: One of `GROUP_HYPERPARAMETERS`.
        optimizers: Those that have it.
    """

    def __init__(self, name: str, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self.name = name
        self._optimizers = list(optimizers)
        self._has_rmsprop = any(isinstance(o, torch.optim.RMSprop) for o in optimizers)
        self.base = [read(group, name) for group in self.groups()]  # [G]
        self.reference = max(range(len(self.base)), key=self.base.__getitem__)
        self.initial = self.base[self.reference]
        self.written = list(self.base)

    @classmethod
    def of(cls, name: str, optimizers: Sequence[torch.optim.Optimizer]) -> GroupWriter | None:
        """Build the writer, or return None where no param group has such a thing."""
        having = [o for o in optimizers if any(has(g, name) for g in o.param_groups)]
        if name == "momentum":
            having = [o for o in having if not _lacks_momentum(o)]
        return cls(name, having) if name in GROUP_HYPERPARAMETERS and having else None

    def groups(self) -> list[Group]:
        """List the groups; looked up each time, as loading a state replaces them."""
        found = (g for optimizer in self._optimizers for g in optimizer.param_groups)
        return [group for group in found if has(group, self.name)]

    def write(self, value: float) -> float:
        """Set every group's value, and return the reference's."""
        groups = self.groups()
        if self.name == "momentum" and self._has_rmsprop:
            value = max(value, _LEAST_RMSPROP_MOMENTUM)
        # A group added in mid-run comes with its own initial value.
        self.base += [read(group, self.name) for group in groups[len(self.base) :]]
        self.write_groups(self._spread(value), groups)
        return read(groups[self.reference], self.name)

    def write_groups(self, values: Sequence[float], groups: Sequence[Group] | None = None) -> None:
        """Set every group to a value of its own."""
        for group, value in zip(self.groups() if groups is None else groups, values, strict=True):
            put(group, self.name, value)
        self.written = list(values)

    def write_one(self, place: int, value: float) -> None:
        """Set the value of one group."""
        put(self.groups()[place], self.name, value)

    def foreign_value(self) -> float | None:
        """Return a value that somebody else has written since, or None."""
        for group, ours in zip(self.groups(), self.written, strict=False):
            if not isinstance(group.get("lr"), Tensor) and read(group, self.name) != ours:
                return read(group, self.name)
        return None

    def _spread(self, value: float) -> list[float]:
        base, reference = self.base, self.base[self.reference]
        if value == reference:
            return list(base)
        if self.name == "momentum":
            return [1.0 - (1.0 - value) * ((1.0 - b) / (1.0 - reference)) for b in base]
        return [value * (b / reference) if reference else b for b in base]


@dataclass(kw_only=True)
class ClipWriter:
    """The largest norm of the gradient, enforced before each optimiser step."""

    initial: float

    def __post_init__(self) -> None:
        self.value = self.initial

    def write(self, value: float) -> float:
        """Set the norm."""
        self.value = value
        return value

    def clip(self, parameters: Iterable[Tensor], scale: Tensor | float) -> None:
        """Clip gradients, which may be scaled."""
        nn.utils.clip_grad_norm_(parameters, float(self.value * scale))


def column_writers(
    optimizers: Sequence[torch.optim.Optimizer],
    bind: Mapping[str, Callable[[float], Any]],
    names: Sequence[str],
) -> dict[str, Callable[[float], Any]]:
    """Return a function that writes each column of a saved schedule.

    Args:
        optimizers: Those of the loop, without wrappers.
        bind: Functions for what is in no param group.
        names: Columns; "learning_rate/1" is that of the second param group.

    Raises:
        ConfigurationError: A column can be written neither here nor there.
    """
    found: dict[str, Callable[[float], Any]] = {}
    for name in names:
        kind, _, place = name.partition("/")
        if name in bind:
            found[name] = bind[name]
            continue
        writer = GroupWriter.of(kind, optimizers)
        if writer is None or (place and not int(place) < len(writer.base)):
            raise ConfigurationError(
                f"the schedule has {name!r}, which no param group has: give "
                f"bind={{{name!r}: function}}"
            )
        found[name] = functools.partial(writer.write_one, int(place)) if place else writer.write
    return found


def _lacks_momentum(optimizer: torch.optim.Optimizer) -> bool:
    """Say whether momentum cannot be raised: RMSprop makes its buffers at once or never."""
    is_rmsprop = isinstance(optimizer, torch.optim.RMSprop)
    return is_rmsprop and not any(read(group, "momentum") for group in optimizer.param_groups)


def _key(group: Group, name: str) -> str:
    if name == "momentum":
        return "betas" if "betas" in group else "momentum"
    return "lr" if name == "learning_rate" else name


def has(group: Group, name: str) -> bool:
    """Say whether a param group has the hyperparameter."""
    return group.get(_key(group, name)) is not None


def read(group: Group, name: str) -> float:
    """Read a hyperparameter of a param group; the momentum of Adam kinds is their first beta."""
    value = group[_key(group, name)]
    return float(value[0] if isinstance(value, tuple | list) else value)


def put(group: Group, name: str, value: float) -> None:
    """Write a hyperparameter of a param group; `read` is the inverse."""
    key = _key(group, name)
    present = group[key]
    if isinstance(present, tuple | list):
        if isinstance(present[0], Tensor):
            present[0].fill_(value)
        else:
            group[key] = type(present)((value, *present[1:]))
    elif isinstance(present, Tensor):  # compiled and captured steps read the tensor itself
        present.fill_(value)
    else:
        group[key] = value
