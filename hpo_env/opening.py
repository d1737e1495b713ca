"""The opening of a run: its first moves count more than later ones.

A move of 1 is one step of each hyperparameter (`Hyperparameter.max_step`), and a good setting may
lie several steps off. Whoever walks there pays with the part of a run in which most is learned.
With the opening `(4, 2)` the first move of a run counts four steps, the second two, and every later
one one: two decisions reach nearly any place, and steering is as fine as ever. The guard's moves
always count one step.

An environment says which opening moves are made under, and a policy under which it was trained;
without one every move counts one step.

Axes: `N` lanes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import is_number
from hpo_env.errors import ConfigurationError

Array = NDArray[np.float64]

FIELD = "opening"
"""Name of the entry of the observation that says how much the next move counts."""

_MOST_STEPS, _LONGEST = 16.0, 8
_DOC = "How many steps the next move counts, logarithmic: 1 for the most of the run, -1 for one"


def checked_opening(opening: Any) -> tuple[float, ...]:
    """Return an opening as numbers.

    Args:
        opening: How many steps the first moves of a run count, up to 8 of them, each above 1, at
            most 16, and never more than the one before; empty: one step from the start.

    Raises:
        ConfigurationError: It is anything else.
    """
    sizes = tuple(opening) if isinstance(opening, Iterable) else (None,)
    is_valid = len(sizes) <= _LONGEST and all(
        is_number(size) and math.isfinite(size) and 1.0 < size <= before
        for before, size in zip((_MOST_STEPS, *sizes), sizes, strict=False)
    )
    if not is_valid:
        raise ConfigurationError(
            f"opening must be up to {_LONGEST} numbers of steps above 1, at most {_MOST_STEPS:g} "
            f"and never growing, such as (4, 2); got {opening!r}"
        )
    return tuple(float(size) for size in sizes)


def opening_docs(opening: tuple[float, ...]) -> dict[str, str]:
    """Return name and meaning of the entry of the observation; nothing without an opening."""
    return {FIELD: _DOC} if opening else {}


def steps_after(opening: tuple[float, ...], num_decisions: NDArray[np.int64]) -> Array:
    """Return how many steps a move counts after so many decisions of a run `[N]`.

    Example:
        >>> steps_after((4.0, 2.0), np.array([0, 1, 2, 30])).tolist()
        [4.0, 2.0, 1.0, 1.0]
    """
    steps = np.array([*opening, 1.0])
    return np.asarray(steps[np.minimum(num_decisions, len(opening))])


def observed(opening: tuple[float, ...], steps: Array) -> Array:
    """Return what is observed of so many steps a move `[N]`, in `[-1, 1]`."""
    return np.asarray(2.0 * np.log(steps) / math.log(opening[0]) - 1.0)


def steps_observed(opening: tuple[float, ...], entry: Array) -> Array:
    """Return the steps a move of which an entry `[N]` tells; inverse of `observed`."""
    return np.asarray(opening[0] ** (0.5 * (entry + 1.0)))
