"""Drawing the tasks that opponents are compared on, and those that they are tuned on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hpo_env.errors import ConfigurationError
from hpo_env.seeding import stream
from hpo_env.tasks.base import Task, TaskFamily

from .starts import with_start

_NUM_CANDIDATES = 8  # enough that a name which is still missing is nearly always among them


def make_tasks(
    family: TaskFamily, count: int, seed: int, *, starts: Sequence[float] | None = None
) -> list[Task]:
    """Draw tasks, the first ones being the same however many are drawn.

    Each is the one of several draws whose name, and then whose first label, came up least so far: a
    few tasks then cover the family as evenly as many would.

    Args:
        family: Where they come from, its split included.
        count: How many to draw, at least 1.
        seed: Any non-negative integer.
        starts: With these, each task is repeated once from every initial value of the leading
            hyperparameter, alike but for it; None keeps the values drawn.

    Returns:
        `count` tasks, or `count * len(starts)`, the repetitions of a task side by side.

    Raises:
        ConfigurationError: No tasks, no starts, or one outside the range.
    """
    if count < 1:
        raise ConfigurationError(f"at least 1 task must be drawn; got {count}")
    tasks: list[Task] = []
    for i in range(count):
        rng = stream(seed, "evaluation task", i)
        candidates = [family.sample(rng) for _ in range(_NUM_CANDIDATES)]
        tasks.append(min(candidates, key=partial(_how_often, tasks)))
    if starts is None:
        return tasks
    if not len(starts):
        raise ConfigurationError("starts must hold at least one value, or be None")
    return [with_start(task, family, start) for task in tasks for start in starts]


def _how_often(tasks: Sequence[Task], candidate: Task) -> tuple[int, int]:
    """Count the tasks of the candidate's name, and those of its first label."""
    label = _first_label(candidate)
    return (
        sum(task.name == candidate.name for task in tasks),
        sum(_first_label(task) == label for task in tasks),
    )


def _first_label(task: Task) -> str:
    return next(iter(task.labels.values()), "")
