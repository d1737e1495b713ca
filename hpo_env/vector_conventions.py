"""Conventions of environments of many lanes: what a reset is given, and masks inside info.

The environment in one process and the one over several check and say the same, so it is here.

Source: https://gymnasium.farama.org/api/vector/

Axis: `N` lanes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from hpo_env.arguments import whole_number
from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.seeding import lane_seeds
from hpo_env.tasks.base import Task

_RESET_OPTIONS = ("tasks", "reset_mask")


def check_lanes(num_envs: int, tasks: Sequence[Task] | None) -> None:
    """Check the number of lanes, and that there is a task for each where any are given.

    Raises:
        ConfigurationError: There is no lane, or another number of tasks.
    """
    if whole_number("num_envs", num_envs) < 1:
        raise ConfigurationError(f"num_envs must be at least 1; got {num_envs}")
    if tasks is None:
        return
    if isinstance(tasks, str) or not isinstance(tasks, Sequence):
        raise ConfigurationError(f"tasks must be a list with one task a lane; got {tasks!r}")
    if not all(isinstance(task, Task) for task in tasks):
        raise ConfigurationError(f"tasks must be tasks, of the family's own kind; got {tasks!r}")
    if len(tasks) != num_envs:
        raise ConfigurationError(
            f"one task a lane must be given; got {len(tasks)} tasks for {num_envs} lanes"
        )


def no_tasks(space: HyperparameterSpace, num_envs: int) -> list[Task]:
    """Return what stands for the tasks of lanes that were not started yet."""
    return [Task(name="", num_decisions=1, initial=tuple(space.defaults))] * num_envs


def check_can_step(*, is_reset: bool, over: NDArray[np.bool_]) -> None:
    """Check that every lane has something to train.

    Args:
        is_reset: Whether there was a reset.
        over: Which lanes are over and do not start again by themselves `[N]`.

    Raises:
        ConfigurationError: One of them has not; says what to call.
    """
    if not is_reset:
        raise ConfigurationError("reset() must be called before step()")
    if over.any():
        raise ConfigurationError(
            f"lanes {np.flatnonzero(over).tolist()} are over; reset them with "
            "options={'reset_mask': ...} first"
        )


def seed_of_each(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """Return the seed of every lane, None where none was given.

    Args:
        seed: As for `reset`: `s` gives lane `i` the seed `s + i`.
        num_envs: `N`.

    Raises:
        ConfigurationError: Another number of seeds.
    """
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, str) or not isinstance(seed, Sequence | np.ndarray):
        return list(lane_seeds(checked_seed(seed), num_envs))
    if len(seed) != num_envs:
        raise ConfigurationError(
            f"one seed a lane must be given; got {len(seed)} for {num_envs} lanes"
        )
    return [None if entry is None else checked_seed(entry) for entry in seed]


def checked_seed(seed: Any) -> int:
    """Return a seed as an int.

    Raises:
        ConfigurationError: It is no whole number, or negative.
    """
    if whole_number("seed", seed) < 0:
        raise ConfigurationError(f"seed must not be negative; got {seed}")
    return int(seed)


def check_places(given: Any, num_envs: int, kind: str = "lanes") -> NDArray[np.int64]:
    """Return indices of lanes as an array `[n]`.

    Args:
        given: Distinct or not, from 0 to `N - 1`.
        num_envs: `N`.
        kind: What they are called.

    Raises:
        ConfigurationError: They are no list of whole numbers, or there is no such lane.
    """
    index = np.asarray(given)
    if index.size == 0:
        return np.zeros(0, dtype=np.int64)
    is_whole = index.ndim == 1 and np.issubdtype(index.dtype, np.integer)
    if not is_whole or index.min() < 0 or index.max() >= num_envs:
        raise ConfigurationError(f"{kind} must be a list of lanes 0..{num_envs - 1}; got {given!r}")
    return index.astype(np.int64)


def check_as_many(num_copies: int, lanes: NDArray[np.int64]) -> None:
    """Check that a snapshot of n lanes goes into n lanes, each of them once.

    Raises:
        ConfigurationError: There are more or fewer, or a lane would be written twice.
    """
    if num_copies != len(lanes):
        raise ConfigurationError(
            f"a snapshot of n lanes goes into n lanes; got {num_copies} and {len(lanes)}"
        )
    if len(np.unique(lanes)) != len(lanes):
        raise ConfigurationError(f"each lane can be overwritten once; got {lanes.tolist()}")


def reset_tasks(
    options: Mapping[str, Any] | None, space: HyperparameterSpace, mask: NDArray[np.bool_]
) -> list[Task | None] | None:
    """Read which tasks a reset fixes, N of them; None where it says nothing about tasks.

    Args:
        options: Those of `reset`. Under "tasks" one entry a lane: a task that the lane runs from
            now on, or None for a lane that draws its tasks (again). What is given for a lane that
            is not reset is ignored.
        space: The family's, of which a task has to have all initial values.
        mask: Which lanes are reset `[N]`.

    Raises:
        ConfigurationError: There is not one task a lane, or something that is no task of the
            family.
    """
    check_options(options)
    given = None if options is None else options.get("tasks")
    if given is None:
        return None
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != len(mask):
        got = len(given) if isinstance(given, Sequence) else type(given).__name__
        wanted = "one entry" if len(mask) == 1 else f"one entry for each of {len(mask)} lanes"
        raise ConfigurationError(
            f"tasks must be a sequence with {wanted}, a task or None; got {got}"
        )
    for lane in np.flatnonzero(mask).tolist():
        task = given[lane]
        if task is not None and not isinstance(task, Task):
            raise ConfigurationError(
                f"tasks[{lane}] must be a task or None; got {type(task).__name__}"
            )
        if task is not None and len(task.initial) != len(space):
            raise ConfigurationError(
                f"tasks[{lane}] must have initial values of {list(space.names)}; "
                f"got {task.initial}: is it a task of another family?"
            )
    return list(given)


def check_options(options: Any) -> None:
    """Check the options of a reset: what is not known would do nothing.

    Raises:
        ConfigurationError: They are no dictionary.
        UnknownNameError: There is no option of a name.
    """
    if options is not None and not isinstance(options, Mapping):
        raise ConfigurationError(f"options must be a dictionary or None; got {options!r}")
    for name in options or ():
        if name not in _RESET_OPTIONS:
            raise unknown_name("option of reset", name, _RESET_OPTIONS)


def reset_mask(
    options: Mapping[str, Any] | None, num_envs: int, *, is_first: bool
) -> NDArray[np.bool_]:
    """Read which lanes a reset is for, bool `[N]`; the caller's options are left as they are.

    Args:
        options: Those of `reset`.
        num_envs: `N`.
        is_first: Whether no lane was reset before.

    Raises:
        ConfigurationError: The mask does not fit, or the first reset leaves a lane out.
    """
    check_options(options)
    mask = None if options is None else options.get("reset_mask")
    if mask is None:
        return np.ones(num_envs, dtype=bool)
    mask = np.asarray(mask)
    if mask.shape != (num_envs,) or mask.dtype != bool or not mask.any():
        raise ConfigurationError(
            f"reset_mask must be a bool array of shape ({num_envs},) with at least one True; "
            f"got dtype {mask.dtype}, shape {mask.shape}"
        )
    if is_first and not mask.all():
        raise ConfigurationError("the first reset() must reset every lane")
    return mask


def checked_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """Return the mode that a name or a member stands for.

    Raises:
        ConfigurationError: There is none; lists those that there are.
    """
    try:
        return AutoresetMode(mode)
    except ValueError:
        allowed = ", ".join(repr(m.value) for m in AutoresetMode)
        raise ConfigurationError(
            f"autoreset_mode must be one of {allowed} or an AutoresetMode; got {mode!r}"
        ) from None


def masked(arrays: dict[str, NDArray[Any]], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Add to each array `[N]` of an info dictionary the lanes that it is about, under `_name`."""
    return arrays | {f"_{name}": mask.copy() for name in arrays}


def final_info_of(
    observations: NDArray[np.float32], info: dict[str, Any], ended: NDArray[np.bool_]
) -> dict[str, Any]:
    """Wrap what the ended lanes showed last in the keys that SAME_STEP prescribes."""
    return {
        "final_obs": observations,
        "_final_obs": ended.copy(),
        "final_info": _restrict(info, ended),
        "_final_info": ended.copy(),
    }


def _restrict(info: dict[str, Any], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Narrow every mask of an info dictionary to the lanes given."""
    narrowed = dict(info)
    for key, value in info.items():
        if isinstance(value, dict):
            narrowed[key] = _restrict(value, mask)
        elif key.startswith("_"):
            narrowed[key] = value & mask
    return narrowed
