"""What a family's tasks and trainers return, checked while they run.

A family from outside may break its contract in ways that no type says: a loss with the wrong sign,
a lane too few. The suite of `hpo_env.testing` finds that before; here it is noticed at once, at the
price of a few comparisons a step, and named.

Axes: `N` lanes, `n` some of them, `H` hyperparameters of the family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ContractError
from hpo_env.tasks.base import Task, TaskFamily
from hpo_env.telemetry import NOT_NEGATIVE, Telemetry

_FIELDS = tuple(f.name for f in fields(Telemetry))


def check_tasks(family: TaskFamily, tasks: Sequence[Task]) -> None:
    """Check tasks before a trainer gets them.

    Raises:
        ContractError: A task has no number of decisions, not one finite initial value a
            hyperparameter, or labels that are not strings.
    """
    for task in tasks:
        where = f"task {task.name!r} of {_name(family)}"
        if len(task.initial) != len(family.space) or not np.isfinite(task.initial).all():
            raise ContractError(
                f"{where}: initial must hold one finite value for each of "
                f"{list(family.space.names)}; got {task.initial}"
            )
        if task.num_decisions < 1:
            raise ContractError(
                f"{where}: num_decisions must be at least 1; got {task.num_decisions}"
            )
        for label, value in task.labels.items():
            if not (isinstance(label, str) and isinstance(value, str)):
                raise ContractError(
                    f"{where}: labels must be strings with names that are strings; "
                    f"got {label!r}: {value!r}"
                )


def check_telemetry(family: TaskFamily, telemetry: Telemetry, lanes: NDArray[np.int64]) -> None:
    """Check what a trainer measured in some lanes.

    Args:
        family: Whose trainer it is.
        telemetry: `[n]`.
        lanes: Which lanes `[n]`.

    Raises:
        ContractError: A field has another shape or a forbidden sign, or a lane that has not
            diverged has no finite validation loss; names family, field, rule, value and lane.
    """
    shape = lanes.shape
    for name in _FIELDS:
        found = getattr(getattr(telemetry, name, None), "shape", "no array")
        if found != shape:
            raise ContractError(
                f"{_name(family)}: {name} must be an array of one entry for each of {len(lanes)} "
                f"lanes, shape {shape}; got {found}"
            )
    # fmin looks past NaN: what was not measured has no sign.
    unsigned = np.concatenate([getattr(telemetry, name) for name in NOT_NEGATIVE])
    if np.fmin.reduce(unsigned, initial=np.inf) < 0.0:
        _refuse_negative(family, telemetry, lanes)
    if not np.isfinite(telemetry.validation_loss).all():
        lost = ~(np.isfinite(telemetry.validation_loss) | telemetry.diverged)
        if lost.any():
            place = int(np.flatnonzero(lost)[0])
            raise ContractError(
                f"{_name(family)}: validation_loss must be finite where `diverged` does not say "
                f"otherwise; got {telemetry.validation_loss[place]} in lane {lanes[place]}"
            )


def check_features(family: TaskFamily, features: Any, num_lanes: int) -> None:
    """Check the entries of the observation that only this family has.

    Raises:
        ContractError: They have not the shape `[N, F]`, or are NaN.
    """
    shape = (num_lanes, len(family.features))
    if getattr(features, "shape", None) != shape:
        raise ContractError(
            f"{_name(family)}: features() must return one entry a lane for each of "
            f"{list(family.features)}, shape {shape}; got "
            f"{getattr(features, 'shape', type(features).__name__)}"
        )
    if np.isnan(features).any():
        lane, place = np.argwhere(np.isnan(features))[0]
        raise ContractError(
            f"{_name(family)}: features must be numbers, 0 where there is nothing to measure; got "
            f"NaN for {list(family.features)[place]!r} in lane {lane}"
        )


def check_used(family: TaskFamily, used: Any, given: NDArray[np.float64]) -> None:
    """Check the values that a trainer says it has used.

    Raises:
        ContractError: They have not the shape `[N, H]` of those that it was given.
    """
    if getattr(used, "shape", None) != given.shape:
        raise ContractError(
            f"{_name(family)}: advance() must return the values that were used, shape [N, H] = "
            f"{given.shape}; got {getattr(used, 'shape', type(used).__name__)}"
        )


def _refuse_negative(family: TaskFamily, telemetry: Telemetry, lanes: NDArray[np.int64]) -> None:
    for name in NOT_NEGATIVE:
        values = getattr(telemetry, name)
        negative = np.flatnonzero(values < 0.0)
        if len(negative):
            raise ContractError(
                f"{_name(family)}: {name} must not be negative, as its logarithm is taken; got "
                f"{values[negative[0]]:g} in lane {lanes[negative[0]]}. Leave NaN what has "
                "another sign"
            )


def _name(family: TaskFamily) -> str:
    return f"task family {family.name!r}"
