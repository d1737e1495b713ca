"""Torch schedulers as base schedules: they go on writing, but into a shadow of the optimiser.

A scheduler that a loop steps, by update or by epoch, is left with the loop. Only what it writes to
is exchanged: a shadow with the same param groups and no parameters. So recursive schedulers, which
compute the next rate from the last one, never see a correction, and the run reads from the shadow
what the schedule wants.
"""

from __future__ import annotations

import copy
import gc
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from hpo_env.control.foresight import can_be_run_ahead
from hpo_env.control.group_values import (
    GROUP_HYPERPARAMETERS,
    Group,
    GroupKey,
    copied,
    has,
    put,
    read,
)
from hpo_env.errors import ConfigurationError

_MOST_SIMULATED_STEPS = 2000  # 10 ms; a schedule does not turn faster than that


class ShadowOptimizer:
    """What a scheduler sees of an optimiser: its param groups, without parameters.

    Args:
        optimizer: The optimiser.
        num_groups: How many of its groups the scheduler knows: torch's own refuse any other number.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, num_groups: int) -> None:
        self._optimizer = optimizer
        self._opt_called = True  # schedulers warn when they are stepped before the optimiser
        self.defaults = optimizer.defaults
        self.keys = [GroupKey(optimizer, i) for i in range(num_groups)]
        self.state: dict[Any, Any] = {}
        self.param_groups = [
            {k: copied(v) for k, v in group.items() if k != "params"}
            for group in optimizer.param_groups[:num_groups]
        ]

    def __deepcopy__(self, memo: dict[int, Any]) -> ShadowOptimizer:
        shadow = copy.copy(self)
        shadow.param_groups = [
            {k: copied(v) for k, v in group.items()} for group in self.param_groups
        ]
        return shadow

    def step(self) -> None:
        """Do nothing: a scheduler never calls it, but looks at it."""

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]


class LiveSchedule:
    """The base values that a loop's own schedulers ask for.

    Args:
        schedulers: Each of one of the optimisers; nested ones are found.
        optimizers: Those of the run, `unwrapped`.

    Raises:
        ConfigurationError: A scheduler belongs to another optimiser, or is none.
    """

    def __init__(
        self, schedulers: Sequence[Any], optimizers: Sequence[torch.optim.Optimizer]
    ) -> None:
        self.schedulers = [unwrapped_scheduler(s) for s in schedulers]
        parts = [part for scheduler in self.schedulers for part in _nested(scheduler)]
        self._shadows = [
            ShadowOptimizer(optimizer, _num_groups(optimizer, parts)) for optimizer in optimizers
        ]
        for scheduler in self.schedulers:
            for part in _nested(scheduler):
                owner = unwrapped(part.optimizer)
                places = [i for i, o in enumerate(optimizers) if o is owner]
                if not places:
                    raise ConfigurationError(
                        f"base_schedule: {type(part).__name__} belongs to another optimiser than "
                        "those attached; build it with the one that is attached"
                    )
                part.optimizer = self._shadows[places[0]]
        self._middle_rates = self.groups("learning_rate")
        self._middle_call = self._num_calls()
        self._calls_an_interval = 0

    def groups(self, name: str) -> list[float]:
        """Return the base values of a hyperparameter, one for each param group that has it."""
        return [read(g, name) for s in self._shadows for g in s.param_groups if has(g, name)]

    def now(self) -> list[list[float]]:
        """Return all that is asked for, to be compared."""
        return [self.groups(name) for name in GROUP_HYPERPARAMETERS]

    def asked(self, key: GroupKey) -> Group | None:
        """Return what is written to in a group's place.

        A group that was added after the schedule was built is none of the schedule's.
        """
        for shadow in self._shadows:
            if key in shadow.keys:
                return shadow.param_groups[shadow.keys.index(key)]
        return None

    def leader(self, optimizer: torch.optim.Optimizer) -> Group | None:
        """Return a group that is scheduled as one that came later would be.

        That is known where all groups of the optimiser are at the same share of their initial rates
        now; None where they are not, as with a function for each.
        """
        shadow = next((s for s in self._shadows if s._optimizer is optimizer), None)
        groups = [] if shadow is None else shadow.param_groups
        factors = [(float(g["lr"]) / _initial(g), g) for g in groups if _initial(g) > 0.0]
        if not factors:
            return None
        lowest, highest = (choose(factor for factor, _ in factors) for choose in (min, max))
        return factors[0][1] if highest - lowest <= 1e-9 * highest else None

    def initial(self, key: GroupKey) -> float:
        """Return a group's learning rate before any schedule, 0 for one that is not scheduled."""
        group = self.asked(key)
        return 0.0 if group is None else _initial(group)

    def note_middle(self, share: float) -> None:
        """Note the rates in the middle of an interval.

        Args:
            share: How many intervals have passed since the last call, or since the start.
        """
        call = self._num_calls()
        self._calls_an_interval = round((call - self._middle_call) / share)
        self._middle_call, self._middle_rates = call, self.groups("learning_rate")

    def change_ahead(self, key: GroupKey) -> tuple[float, float]:
        """Return a group's rate in the middle of this interval, and of the next one.

        The next one is simulated on a copy, at the pace so far. A schedule that cannot be foretold,
        as it waits for a metric or runs code that may do anything, counts as one that stays.
        """
        keys = [key for shadow in self._shadows for key in shadow.keys]
        if key not in keys:  # a group that came later is none of the schedule's
            return 1.0, 1.0
        group = keys.index(key)
        foreseen = self.groups("learning_rate")[group]
        num_calls = self._middle_call + self._calls_an_interval - self._num_calls()
        parts = [part for scheduler in self.schedulers for part in _nested(scheduler)]
        waits = any(isinstance(s, ReduceLROnPlateau) for s in self.schedulers)
        if not waits and all(can_be_run_ahead(part) for part in parts):
            foreseen = self._simulated(min(num_calls, _MOST_SIMULATED_STEPS), group, foreseen)
        return self._middle_rates[group], foreseen

    def state_dict(self) -> dict[str, Any]:
        """Return what the schedulers wrote; their own state is saved by the loop."""
        return {
            "groups": {name: self.groups(name) for name in GROUP_HYPERPARAMETERS},
            "middle_rates": self._middle_rates,
            "middle_call": self._middle_call,
            "calls_an_interval": self._calls_an_interval,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        for name, values in state["groups"].items():
            groups = [g for s in self._shadows for g in s.param_groups if has(g, name)]
            for group, value in zip(groups, values, strict=False):  # there may be more by now
                put(group, name, value)
        count = len(self._middle_rates)
        rates = [*state["middle_rates"], *self._middle_rates[len(state["middle_rates"]) :]]
        self._middle_rates = rates[:count]
        self._middle_call = state["middle_call"]
        self._calls_an_interval = state["calls_an_interval"]

    def detach(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Give the optimisers back to their schedulers."""
        for scheduler in self.schedulers:
            for part in _nested(scheduler):
                part.optimizer = optimizers[self._shadows.index(part.optimizer)]

    def _num_calls(self) -> int:
        parts = [part for scheduler in self.schedulers for part in _nested(scheduler)]
        return max(int(getattr(part, "last_epoch", 0)) for part in parts)

    def _simulated(self, num_calls: int, group: int, now: float) -> float:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                schedulers = copy.deepcopy(self.schedulers)
                for _ in range(num_calls):
                    for scheduler in schedulers:
                        scheduler.step()
            optimizers = [p.optimizer for s in schedulers for p in _nested(s)]
            place = 0
            for shadow in self._shadows:
                size = len(shadow.param_groups)
                if place <= group < place + size:
                    copies = [o for o in optimizers if o._optimizer is shadow._optimizer]
                    return float(copies[-1].param_groups[group - place]["lr"]) if copies else now
                place += size
        except Exception:  # schedules are anybody's code, and this is only a forecast
            return now
        return now


def _initial(group: Group) -> float:
    return float(group["initial_lr"] if "initial_lr" in group else group["lr"])


def _num_groups(optimizer: torch.optim.Optimizer, parts: Sequence[Any]) -> int:
    """Return how many groups an optimiser had when the schedulers of it were built."""
    bases = [p.base_lrs for p in parts if hasattr(p, "base_lrs") and _owner(p) is optimizer]
    there = len(optimizer.param_groups)
    return min(max(map(len, bases), default=there), there)


def unwrapped(optimizer: Any) -> torch.optim.Optimizer:
    """Return the torch optimiser inside the wrappers of Lightning and Accelerate."""
    while isinstance(getattr(optimizer, "optimizer", None), torch.optim.Optimizer):
        optimizer = optimizer.optimizer
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ConfigurationError(
            f"an optimiser of torch must be given, or several in a list; "
            f"got {type(optimizer).__name__}"
        )
    return optimizer


def unwrapped_scheduler(scheduler: Any) -> Any:
    """Return the torch scheduler inside a wrapper of Accelerate."""
    inner = getattr(scheduler, "scheduler", scheduler)
    if not isinstance(inner, LRScheduler):
        raise ConfigurationError(
            "base_schedule must be the name of a schedule or a scheduler of torch "
            f"(torch.optim.lr_scheduler); got {type(scheduler).__name__}"
        )
    return inner


def foreign_schedulers(
    optimizers: Sequence[torch.optim.Optimizer], known: Sequence[Any]
) -> list[str]:
    """Name the living schedulers that write to one of the optimisers and are not `known`."""
    names: list[str] = []
    for _ in range(2):
        ours = [part for scheduler in known for part in _nested(scheduler)]
        # Names alone are kept: a scheduler that is held here would outlive the collection.
        living = _living_schedulers(optimizers)
        names = sorted({type(scheduler).__name__ for scheduler in living if scheduler not in ours})
        del living
        if not names:
            return []
        gc.collect()  # one that nobody holds any more does no harm
    return names


def _living_schedulers(optimizers: Sequence[torch.optim.Optimizer]) -> list[Any]:
    if not any(hasattr(o.step, "_wrapped_by_lr_sched") for o in optimizers):
        return []  # no scheduler was ever built on them
    # type() and not isinstance(): the latter runs code of lazy objects that lie about.
    schedulers = [o for o in gc.get_objects() if issubclass(type(o), LRScheduler)]
    return [s for s in schedulers if _owner(s) in optimizers]


def _owner(scheduler: Any) -> Any:
    optimizer: Any = getattr(scheduler, "optimizer", None)
    while isinstance(getattr(optimizer, "optimizer", None), torch.optim.Optimizer):
        optimizer = optimizer.optimizer
    return optimizer


def _nested(scheduler: Any) -> Iterator[Any]:
    """Yield a scheduler and those that it is made of."""
    yield scheduler
    for inner in getattr(scheduler, "_schedulers", ()):
        yield from _nested(inner)
