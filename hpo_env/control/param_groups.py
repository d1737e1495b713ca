"""The writer of a hyperparameter that stands in param groups.

Axes: `G` param groups, over all optimisers of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any, Protocol

import torch

from hpo_env.control.group_values import (
    GROUP_HYPERPARAMETERS,
    Group,
    GroupKey,
    has,
    is_on_a_device,
    key_of,
    put,
    read,
)

_LEAST_RMSPROP_MOMENTUM = 1e-6  # not 0: see `_lacks_momentum`


@dataclass(slots=True, kw_only=True, eq=False)
class Place:
    """What one param group has of one hyperparameter.

    Args:
        owner: The group's optimiser.
        key: What tells the group from others.
        group: The group itself; another one once a state was loaded.
        start: Its own value before any schedule, or the one that a live schedule asks for now.
        found: What it would have without a controller: `start`, but for a group that came later and
            brought a value along that counts as corrected already.
        written: What was written last, as it was read back; NaN where that may change.
        asked: The group that a live schedule writes to in its place, where there is one; or, of one
            that came later, a group that moves as this one should.
        shares: `start` and `found` over what is asked for.
        brought: Of a group that came later, the value of the whole at that time and its own, which
            it keeps to the bit while the whole has that value.
    """

    owner: torch.optim.Optimizer
    key: GroupKey
    group: Group
    start: float
    found: float
    written: float
    asked: Group | None = None
    shares: tuple[float, float] = (1.0, 1.0)
    brought: tuple[float, float] | None = None


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
        self._live: Asking | None = None
        self._whole = math.nan  # the value of the whole that was written last
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

    def follow(self, live: Asking | None) -> None:
        """Take base values from what a live schedule writes to, from now on.

        Args:
            live: The schedule; None: no longer.
        """
        self._live = live
        for place in self._known.values():
            self._ask_for(place)

    def begin_at(self, initial: Callable[[GroupKey], float]) -> None:
        """Let the group stand for the whole that has the largest value before any schedule."""
        self._reference = max(self.places(), key=lambda place: initial(place.key))
        self.initial = initial(self._reference.key)

    def start_at(self, value: float) -> None:
        """Take another base value for the whole; the groups keep their ratios."""
        reference = self.base
        for place in self.places():
            place.start = self._in_ratio(value, place.start, reference)
            place.brought = None
        self.initial = self.base

    def meet_with(self, uncorrected: Callable[[float], float]) -> None:
        """Say how the base of a group that comes later follows from the value that it has."""
        self._uncorrected = uncorrected

    def update(self) -> None:
        """Read what the live schedule asks for now, for the groups of the last look at them."""
        for place in self._places:
            if place.asked is not None:
                asked = read(place.asked, self.name)
                place.start, place.found = (asked * share for share in place.shares)

    def starts(self) -> list[float]:
        """Return the base value of each group; see `Place`."""
        return [place.start for place in self.places()]

    def state_dict(self) -> dict[str, Any]:
        """Return what is known of the groups, in order."""
        places = self.places()
        is_there = self._reference in places
        return {
            "found": [place.found for place in places],
            "brought": [place.brought for place in places],
            "reference": places.index(self._reference) if is_there else None,
        }

    def load_state_dict(self, starts: Sequence[float], state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called; groups that come later bring their own values.

        Args:
            starts: What `starts` returned then.
            state: What `state_dict` returned; empty in states of earlier versions.
        """
        self.forget_written()
        places = self.places()
        found = state.get("found", starts)
        for place, start, without in zip(places, starts, found, strict=False):
            place.start, place.found = start, without
        for place, brought in zip(places, state.get("brought", ()), strict=False):
            place.brought = None if brought is None else (brought[0], brought[1])
        reference = state.get("reference")
        if reference is not None and reference < len(places):
            self._reference = places[reference]
        self.initial = self.base

    @property
    def reference(self) -> Place:
        """The group of the whole; another one while its base value is 0 or it is gone."""
        places = self._places
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
        self._whole = value
        for place in self._places:
            new = value if place.start == base else corrected(place.start)
            if place.brought is not None and place.brought[0] == value:
                new = place.brought[1]  # by way of `start` it would be off in the last digit
            if self.name == "momentum" and isinstance(place.owner, torch.optim.RMSprop):
                new = max(new, _LEAST_RMSPROP_MOMENTUM) if place.found > 0.0 else 0.0
            place.written = put(place.group, self.name, new)
        first = self._reference  # and no look for another one at most steps
        reference = first if first.start == base else self.reference
        return value if math.isnan(reference.written) else reference.written

    def write(self, value: float) -> float:
        """Set every group so that their base values keep their ratios (`1 - momentum` its own)."""
        self.places()
        reference = self.base
        return self.write_corrected(
            value, reference, lambda base: self._in_ratio(value, base, reference)
        )

    def write_one(self, number: int, value: float) -> None:
        """Set the value of one group, if there is one of that number."""
        places = self.places()
        if number < len(places):
            places[number].written = put(places[number].group, self.name, value)

    def now(self) -> float:
        """Return the value of the reference as it stands there, whoever wrote it."""
        self.places()
        return read(self.reference.group, self.name)

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
            found = place.group[key_of(place.group, self.name)]
            if with_devices or type(found) is float or not is_on_a_device(found):
                value = read(place.group, self.name)
                if value != place.written:
                    return value
        return None

    def forget_written(self) -> None:
        """Expect other values than those written: somebody was meant to write."""
        for place in self._known.values():
            place.written = math.nan

    def give_back(self) -> None:
        """Give every group what it would have by now, unless somebody else has written there."""
        places = self.places()
        self.update()
        for place in places:
            if has(place.group, self.name) and read(place.group, self.name) == place.written:
                put(place.group, self.name, place.found)
            place.written = math.nan

    def _place(self, optimizer: torch.optim.Optimizer, number: int, group: Group) -> Place:
        key = GroupKey(optimizer, number)
        place = self._known.get(key)
        if place is None:
            value = read(group, self.name)
            start = value if self._uncorrected is None else self._uncorrected(value)
            place = Place(
                owner=optimizer,
                key=key,
                group=group,
                start=start,
                found=value,
                written=value,
                brought=None if self._uncorrected is None else (self._whole, value),
            )
            self._ask_for(place)
            self._known[key] = place
        place.group = group
        return place

    def _ask_for(self, place: Place) -> None:
        """Find what the live schedule writes to in a place, or what moves as it should."""
        place.asked, place.shares = None, (1.0, 1.0)
        if self._live is None:
            return
        place.asked = self._live.asked(place.key)
        if place.asked is None and self.name == "learning_rate":
            leader = self._live.leader(place.owner)
            asked = 0.0 if leader is None else read(leader, self.name)
            if asked > 0.0:
                place.asked, place.shares = leader, (place.start / asked, place.found / asked)

    def _in_ratio(self, value: float, base: float, reference: float) -> float:
        if value == reference:
            return base
        if self.name == "momentum":
            return max(1.0 - (1.0 - value) * ((1.0 - base) / (1.0 - reference)), 0.0)
        return value * (base / reference) if reference else base


class Asking(Protocol):
    """A schedule that goes on writing, but elsewhere; see `LiveSchedule`."""

    def asked(self, key: GroupKey) -> Group | None:
        """Return what is written to in a group's place."""

    def leader(self, optimizer: torch.optim.Optimizer) -> Group | None:
        """Return what is written to as it would be for a group that came later."""


def _lacks_momentum(optimizer: torch.optim.Optimizer) -> bool:
    """Say whether momentum cannot be raised: RMSprop makes its buffers at once or never."""
    is_rmsprop = isinstance(optimizer, torch.optim.RMSprop)
    return is_rmsprop and not any(read(group, "momentum") for group in optimizer.param_groups)


def _is_schedule_free(optimizer: torch.optim.Optimizer) -> bool:
    """Say whether the averaged weights are worked out from the momentum, and so move with it."""
    return any("schedulefree" in kind.__name__.lower() for kind in type(optimizer).__mro__)
