"""The leading hyperparameter: where users start it, and the values that a grid of it holds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.tasks.base import Task, TaskFamily

NUM_LINEAR_POINTS = 11
"""Values of a grid on a scale that has no decades."""


def leading_column(family: type[TaskFamily] | TaskFamily) -> int:
    """Return the column of the family's leading hyperparameter."""
    return [h.name for h in family.hyperparameters].index(family.leading())


def with_start(task: Task, family: type[TaskFamily] | TaskFamily, start: float) -> Task:
    """Return the task with another initial value of the family's leading hyperparameter.

    Raises:
        ConfigurationError: The value is outside the hyperparameter's range.
    """
    column = leading_column(family)
    known = family.hyperparameters[column]
    if not known.low <= start <= known.high:
        raise ConfigurationError(
            f"initial {known.name} must lie in [{known.low:g}, {known.high:g}]; got {start:g}"
        )
    return replace(task, initial=(*task.initial[:column], start, *task.initial[column + 1 :]))


def lowest_start(known: Hyperparameter) -> float:
    """Return the lowest value that schedules and searches start a hyperparameter at.

    Of one that a schedule multiplies, the lowest decade is where schedules end: no run that starts
    there gets anywhere.

    Example:
        >>> rate = Hyperparameter(
        ...     name="rate", low=1e-6, high=1.0, default=1e-3, max_step=4.0, scheduled=True
        ... )
        >>> lowest_start(rate)
        1e-05
    """
    if not known.scheduled or known.scale != "log":
        return known.low
    decade_up = float(10.0 ** (math.log10(known.low) + 1.0))
    return decade_up if decade_up < known.high else known.low


def start_grid(known: Hyperparameter) -> tuple[float, ...]:
    """List the values of a grid: two a decade on a log scale, evenly on the axis of any other.

    Example:
        >>> smoothing = Hyperparameter(name="s", low=0.01, high=1.0, default=0.1, max_step=2.0)
        >>> [f"{value:.2g}" for value in start_grid(smoothing)]
        ['0.01', '0.032', '0.1', '0.32', '1']
        >>> share = replace(smoothing, low=0.0, scale="linear")
        >>> [f"{value:.2g}" for value in start_grid(share)][:3]
        ['0', '0.1', '0.2']
    """
    low, high = lowest_start(known), known.high
    if known.scale == "log":
        halves = range(round(2 * np.log10(low)), round(2 * np.log10(high)) + 1)
        return tuple(float(np.clip(10.0 ** (half / 2), low, high)) for half in halves)
    space = HyperparameterSpace([known])
    ends = space.to_axis(np.array([[low], [high]]))
    distances = np.linspace(0.0, 1.0, NUM_LINEAR_POINTS)[:, None] * (ends[1] - ends[0])
    values = space.values(np.full_like(distances, low), distances)
    # Whole numbers of a short range come up several times.
    return tuple(float(value) for value in np.unique(np.clip(values, low, high)))
