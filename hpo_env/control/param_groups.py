"""Writers of torch: hyperparameters in param groups, dropout layers, gradient clipping.

Axes: `G` param groups, over all optimisers of the run.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import is_
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
        self.initial = self._found = max(rates)
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

    def start_at(self, value: float) -> None:
        """See `Writer.start_at`; the layers keep their ratios."""
        self.initial = value

    def write(self, value: float) -> float:
        """Set every layer's rate."""
        for layer, ratio in zip(self.layers, self.ratios, strict=True):
            layer.p = written = value * ratio  # type: ignore[assignment]
            keep(layer, "p", original=ratio * self._found, written=written)
        return max(float(layer.p) for layer in self.layers)  # type: ignore[arg-type]


@dataclass(slots=True, kw_only=True, eq=False)
class Place:
    """What one param group has of one hyperparameter.

    Args:
        owner: The group's optimiser.
        key: What tells the group from others.
        group: The group itself; another one once a state was loaded.
        start: Its own value before any schedule, or the one that a live schedule asks for now.
        written: What was written last, as it was read back; NaN where that may change.
        asked: The group that a live schedule writes to in its place, where there is one.
        found: What was there before another start took its place; None where none has.
    """

    owner: torch.optim.Optimizer
    key: GroupKey
    group: Group
    start: float
    written: float
    asked: Group | None = None
    found: float | None = None


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
        self._known: dict[GroupKey, Place] = {}
        self._seen: list[list[Group]] = []  # the groups of each optimiser at the last look
        self._places: list[Place] = []  # of those that have the hyperparameter
        self._uncorrected: Callable[[float], float] | None = None
        self._asked: Callable[[GroupKey], Group | None] = lambda key: None
        places = self.places()
        self._reference = max(places, key=lambda place: place.start)
        self.initial = self._reference.start

    @classmethod
    def of(cls, name: str, optimizers: Sequence[torch.optim.Optimizer]) -> GroupWriter | None:
        """Build the writer, or return None where no param group has such a thing."""
        having = [o for o in optimizers if any(has(g, name) for g in o.param_groups)]
        if name == "momentum":
            having = [o for o in having if not (_lacks_momentum(o) or _is_schedule_free(o))]
        return cls(name, having) if name in GROUP_HYPERPARAMETERS and having else None

    def places(self) -> list[Place]:
        """List the groups that have it, in order; those that have come since are met."""
        seen = self._seen
        if len(seen) == len(self._optimizers):  # most calls end here
            for optimizer, before in zip(self._optimizers, seen, strict=True):
                now = optimizer.param_groups
                if len(now) != len(before) or not all(map(is_, now, before)):
                    break
            else:
                return self._places
        self._seen = [list(optimizer.param_groups) for optimizer in self._optimizers]
        self._places = [
            self._place(optimizer, number, group)
            for optimizer, groups in zip(self._optimizers, self._seen, strict=True)
            for number, group in enumerate(groups)
            if has(group, self.name)
        ]
        return self._places

    def follow(self, asked: Callable[[GroupKey], Group | None]) -> None:
        """Take base values from what a live schedule writes to, from now on.

        Args:
            asked: Returns the group that is written to in a group's place, None where there is
                none.
        """
        self._asked = asked
        for place in self._known.values():
            place.asked = asked(place.key)

    def begin_at(self, starts: Sequence[float]) -> None:
        """Let the largest of these, one a group, stand for the whole."""
        places = self.places()
        self._reference = places[max(range(len(starts)), key=starts.__getitem__)]
        self.initial = max(starts)

    def start_at(self, value: float) -> None:
        """Take another base value for the whole; the groups keep their ratios."""
        reference = self.base
        for place in self.places():
            place.found = place.start if place.found is None else place.found
            place.start = self._in_ratio(value, place.start, reference)
        self.initial = self.base

    def meet_with(self, uncorrected: Callable[[float], float]) -> None:
        """Say how the base of a group that comes later follows from the value that it has."""
        self._uncorrected = uncorrected

    def update(self) -> None:
        """Read what the live schedule asks for now."""
        for place in self.places():
            if place.asked is not None:
                place.start = read(place.asked, self.name)

    def starts(self) -> list[float]:
        """Return the base value of each group; see `Place`."""
        return [place.start for place in self.places()]

    def set_starts(self, starts: Sequence[float]) -> None:
        """Give the groups other base values, in order; those that come later bring their own."""
        self.forget_written()
        for place, start in zip(self.places(), starts, strict=False):
            place.start = start
        self.initial = self.base

    @property
    def reference(self) -> Place:
        """The group of the whole; another one while its base value is 0 or it is gone."""
        places = self.places()
        if (self._reference.start > 0.0 and self._reference in places) or not places:
            return self._reference
        best = max(places, key=lambda place: place.start)
        is_there = self._reference in places
        return self._reference if is_there and not best.start > 0.0 else best

    @property
    def base(self) -> float:
        """The base value of the reference."""
        return self.reference.start

    def write_corrected(
        self, value: float, base: float, corrected: Callable[[float], float]
    ) -> float:
        """Set every group's value, and return the reference's.

        Args:
            value: What `base` is corrected to.
            base: The base value of the reference.
            corrected: Corrects the base value of any other group.
        """
        for place in self.places():
            new = value if place.start == base else corrected(place.start)
            if self.name == "momentum" and isinstance(place.owner, torch.optim.RMSprop):
                new = max(new, _LEAST_RMSPROP_MOMENTUM) if place.start > 0.0 else 0.0
            place.written = put(place.group, self.name, new)
        first = self._reference  # and no look for another one at most steps
        reference = first if first.start == base else self.reference
        return value if math.isnan(reference.written) else reference.written

    def write(self, value: float) -> float:
        """Set every group so that their base values keep their ratios (`1 - momentum` its own)."""
        reference = self.base
        return self.write_corrected(
            value, reference, lambda base: self._in_ratio(value, base, reference)
        )

    def write_one(self, number: int, value: float) -> None:
        """Set the value of one group, if there is one of that number."""
        places = self.places()
        if number < len(places):
            places[number].written = put(places[number].group, self.name, value)

    def written(self) -> list[float]:
        """Return what was written last, one value a group."""
        return [place.written for place in self._places]

    def foreign_value(self, *, with_devices: bool = False) -> float | None:
        """Return a value that somebody else has written since, or None.

        Args:
            with_devices: Also read values that are tensors on a device, which is waited for.
        """
        for place in self.places():
            if place.written != place.written:  # NaN
                continue
            found = place.group[_key(place.group, self.name)]
            if with_devices or type(found) is float or not _is_on_a_device(found):
                value = read(place.group, self.name)
                if value != place.written:
                    return value
        return None

    def forget_written(self) -> None:
        """Expect other values than those written: somebody was meant to write."""
        for place in self._known.values():
            place.written = math.nan

    def keep_originals(self) -> None:
        """Note what the groups started from, for whoever attaches next."""
        for place in self.places():
            slot = (self.name, place.key)
            found = place.start if place.found is None else place.found
            keep(place.owner, slot, original=found, written=place.written)

    def _place(self, optimizer: torch.optim.Optimizer, number: int, group: Group) -> Place:
        key = GroupKey(optimizer, number)
        place = self._known.get(key)
        if place is None:
            value = read(group, self.name)
            if self._uncorrected is None:  # found at the start
                start = original(optimizer, (self.name, key), value)
            else:
                start = self._uncorrected(value)
            place = Place(owner=optimizer, key=key, group=group, start=start, written=value)
            place.asked = self._asked(key)
            self._known[key] = place
        place.group = group
        return place

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

    def start_at(self, value: float) -> None:
        """See `Writer.start_at`."""
        self.initial = self.value = value

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


def put(group: Group, name: str, value: float) -> float:
    """Write a hyperparameter of a param group, and return what `read` would."""
    key = _key(group, name)
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
