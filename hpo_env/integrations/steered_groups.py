"""Param groups of a trainer's optimisers: they hold after a training what they held before it.

Trainers keep their optimisers from one training to the next, and would start the second from what
the first has spent; also where the first was interrupted, and its run was left behind.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from hpo_env.control.live_schedule import unwrapped
from hpo_env.control.param_groups import GROUP_HYPERPARAMETERS, Group, has, put, read
from hpo_env.control.run import Run


class SteeredGroups:
    """The param groups that one run steers; a run that was left behind in them is closed.

    Args:
        optimizers: Also in wrappers.
    """

    def __init__(self, optimizers: Sequence[Any]) -> None:
        ours = [unwrapped(optimizer) for optimizer in optimizers]
        for optimizer in ours:
            left_behind = _IN_HAND.get(optimizer)
            if left_behind is not None:
                left_behind.end()
        # All references are weak: the optimisers themselves keep this object alive.
        self._optimizers = [weakref.ref(optimizer) for optimizer in ours]
        self._found = [
            {name: read(group, name) for name in GROUP_HYPERPARAMETERS if has(group, name)}
            for group in self._groups()
        ]
        self._run: weakref.ref[Run[Any]] | None = None
        self._names: frozenset[str] = frozenset()

    def begin(self, run: Run[Any], *, except_for: Iterable[str] = ()) -> None:
        """Note the run that steers from now on.

        Args:
            run: The run.
            except_for: Hyperparameters that are not put back at its end.
        """
        self._run = weakref.ref(run)
        self._names = frozenset(run.policy.space.names) - set(except_for)
        for optimizer in filter(None, (reference() for reference in self._optimizers)):
            _IN_HAND[optimizer] = self

    @property
    def is_steered(self) -> bool:
        """Whether the run has begun and not been ended."""
        return self._run is not None

    def end(self) -> None:
        """Close the run and put its hyperparameters back; a second call does nothing."""
        if self._run is None:
            return
        run, self._run = self._run(), None
        if run is not None:
            run.close()
        for group, found in zip(self._groups(), self._found, strict=False):  # some came later
            for name in self._names & set(found):
                put(group, name, found[name])
        for optimizer in filter(None, (reference() for reference in self._optimizers)):
            _IN_HAND.pop(optimizer, None)

    def _groups(self) -> list[Group]:
        # Looked up each time, as loading a state replaces them.
        optimizers = filter(None, (reference() for reference in self._optimizers))
        return [group for optimizer in optimizers for group in optimizer.param_groups]


_IN_HAND: weakref.WeakKeyDictionary[torch.optim.Optimizer, SteeredGroups] = (
    weakref.WeakKeyDictionary()
)
