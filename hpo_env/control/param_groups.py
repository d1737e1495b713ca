"""Writers of torch: hyperparameters in param groups, dropout layers, gradient clipping.

Axes: `G` param groups, over all optimisers of the run.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hpo_env.control.originals import keep, original
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
        rates = [original(layer, "p", float(layer.p)) for layer in self.layers]  # type: ignore[arg-type]
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
            layer.p = written = value * ratio  # type: ignore[assignment]
            keep(layer, "p", original=ratio * self.initial, written=written)
        return max(float(layer.p) for layer in self.layers)  # type: ignore[arg-type]


@dataclass(slots=True, kw_only=True)
class Place:
    """What one param group has of one hyperparameter.

    Args:
        start: Its own value before any schedule, or the one that a live schedule asks for now.
        written: What was written last, as it was read back.
    """

    start: float
    written: float


class GroupWriter:
    """One hyperparameter in all param groups, each with a base value of its own.

    The base of a group is read once, when it is first seen; no value is ever made from what was
    written. The value of the whole is that of the reference, the group whose base value was the
    largest at the start.

    Args:
        name: One of `GROUP_HYPERPARAMETERS`.
        optimizers: Those that have it.
    """

    def __init__(self, name: str, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self.name = name
        self._optimizers = list(optimizers)
        self._places: dict[Any, Place] = {}
        for owner, key, group in self._found():
            value = read(group, name)
            start = original(owner, (name, key), value)
            self._places[key] = Place(start=start, written=value)
        starts = self.starts()
        self._reference = self._keys()[max(range(len(starts)), key=starts.__getitem__)]
        self.initial = max(starts)

    @classmethod
    def of(cls, name: str, optimizers: Sequence[torch.optim.Optimizer]) -> GroupWriter | None:
        """Build the writer, or return None where no param group has such a thing."""
        having = [o for o in optimizers if any(has(g, name) for g in o.param_groups)]
        if name == "momentum":
            having = [o for o in having if not (_lacks_momentum(o) or _is_schedule_free(o))]
        return cls(name, having) if name in GROUP_HYPERPARAMETERS and having else None

    def groups(self) -> list[Group]:
        """List the groups; looked up each time, as loading a state replaces them."""
        return [group for _, _, group in self._found()]

    def starts(self) -> list[float]:
        """Return the base value of each group that is known; see `Place`."""
        return [self._places[key].start for key in self._keys() if key in self._places]

    def set_starts(self, starts: Sequence[float]) -> None:
        """Give the groups other base values, in order; those that come later bring their own."""
        for key, start in zip(self._keys(), starts, strict=False):
            self._places[key] = Place(start=start, written=math.nan)
        self.initial = self.base

    def begin_at(self, starts: Sequence[float]) -> None:
        """Let the largest of these, one a group, stand for the whole."""
        self._reference = self._keys()[max(range(len(starts)), key=starts.__getitem__)]
        self.initial = max(starts)

    @property
    def reference(self) -> int:
        """Which group stands for the whole; another one while its base value is 0 or it is gone."""
        keys = self._keys()
        place = self._places.get(self._reference)
        if self._reference in keys and place is not None and place.start > 0.0:
            return keys.index(self._reference)
        starts = [self._places[key].start if key in self._places else -1.0 for key in keys]
        best = max(range(len(starts)), key=starts.__getitem__, default=0)
        if self._reference in keys and not starts[best] > 0.0:
            return keys.index(self._reference)
        return best

    @property
    def base(self) -> float:
        """The base value of the reference."""
        starts = self.starts()
        return starts[self.reference] if starts else self.initial

    @property
    def reference_key(self) -> Any:
        """The `GroupKey` of the reference."""
        return self._keys()[self.reference]

    def follow(self, bases: Mapping[Any, float]) -> None:
        """Take over the base values, by group, that a live schedule asks for now."""
        for key, base in bases.items():
            if key in self._places:
                self._places[key].start = base

    def forget_written(self) -> None:
        """Expect other values than those written: somebody was meant to write."""
        for place in self._places.values():
            place.written = math.nan

    def meet(self, uncorrected: Callable[[float], float]) -> None:
        """Read the base values of groups that have come since."""
        for _, key, group in self._found():
            if key not in self._places:
                value = read(group, self.name)
                self._places[key] = Place(start=uncorrected(value), written=value)

    def write_corrected(
        self, value: float, base: float, corrected: Callable[[float], float]
    ) -> float:
        """Set every group's value, and return the reference's.

        Args:
            value: What `base` is corrected to.
            base: The base value of the reference.
            corrected: Corrects the base value of any other group.
        """
        found = self._found()
        reference = self.reference
        for owner, key, group in found:
            place = self._places[key]
            new = value if place.start == base else corrected(place.start)
            if self.name == "momentum" and isinstance(owner, torch.optim.RMSprop):
                new = max(new, _LEAST_RMSPROP_MOMENTUM) if place.start > 0.0 else 0.0
            put(group, self.name, new)
            place.written = read(group, self.name)
        return read(found[reference][2], self.name) if found else value

    def write(self, value: float) -> float:
        """Set every group so that their base values keep their ratios (`1 - momentum` its own)."""
        self.meet(lambda found: found)
        reference = self.base
        return self.write_corrected(
            value, reference, lambda base: self._in_ratio(value, base, reference)
        )

    def write_one(self, number: int, value: float) -> None:
        """Set the value of one group, if there is one of that number."""
        groups = self.groups()
        if number < len(groups):
            put(groups[number], self.name, value)

    def written(self) -> list[float]:
        """Return what was written last, one value a group."""
        return [self._places[key].written for key in self._keys() if key in self._places]

    def foreign_value(self, *, with_devices: bool = False) -> float | None:
        """Return a value that somebody else has written since, or None.

        Args:
            with_devices: Also read values that are tensors on a device, which is waited for.
        """
        for _, key, group in self._found():
            place = self._places.get(key)
            if place is None or math.isnan(place.written):
                continue
            if with_devices or not _is_on_a_device(group[_key(group, self.name)]):
                value = read(group, self.name)
                if value != place.written:
                    return value
        return None

    def keep_originals(self) -> None:
        """Note what the groups started from, for whoever attaches next."""
        for owner, key, _ in self._found():
            if key in self._places:
                place = self._places[key]
                keep(owner, (self.name, key), original=place.start, written=place.written)

    def _found(self) -> list[tuple[torch.optim.Optimizer, Any, Group]]:
        return [
            (optimizer, GroupKey(optimizer, number), group)
            for optimizer in self._optimizers
            for number, group in enumerate(optimizer.param_groups)
            if has(group, self.name)
        ]

    def _keys(self) -> list[Any]:
        return [key for _, key, _ in self._found()]

    def _in_ratio(self, value: float, base: float, reference: float) -> float:
        if value == reference:
            return base
        if self.name == "momentum":
            return max(1.0 - (1.0 - value) * ((1.0 - base) / (1.0 - reference)), 0.0)
        return value * (base / reference) if reference else base


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
    later: Collection[str] = (),
) -> dict[str, Callable[[float], Any]]:
    """Return a function that writes each column of a saved schedule.

    Args:
        optimizers: Those of the loop, without wrappers.
        bind: Functions for what is in no param group.
        names: Columns; "learning_rate/1" is that of the second param group.
        later: Those of param groups that the loop adds on the way.

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
        is_missing = place and name not in later
        if writer is None or (is_missing and not int(place) < len(writer.starts())):
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


def _is_schedule_free(optimizer: torch.optim.Optimizer) -> bool:
    """Say whether the averaged weights are worked out from the momentum, and so move with it."""
    return any("schedulefree" in kind.__name__.lower() for kind in type(optimizer).__mro__)


class GroupKey:
    """What tells a param group from others, also after a state was loaded: its first weights.

    Args:
        optimizer: The group's.
        number: Which of its groups it is.
    """

    __slots__ = ("_thing",)

    def __init__(self, optimizer: torch.optim.Optimizer, number: int) -> None:
        parameters = optimizer.param_groups[number]["params"]
        self._thing: Any = parameters[0] if len(parameters) else (optimizer, number)

    def __hash__(self) -> int:
        return hash(self._thing)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GroupKey):
            return False
        ours, theirs = self._thing, other._thing  # tensors are compared by what they are
        return ours is theirs or (
            isinstance(ours, tuple) and isinstance(theirs, tuple) and ours == theirs
        )


def _is_on_a_device(value: Any) -> bool:
    first = value[0] if isinstance(value, tuple | list) else value
    return isinstance(first, Tensor) and first.device.type != "cpu"


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
