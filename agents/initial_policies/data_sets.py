"""The tasks of a visit: a data set for each group of lanes, a task of its own for each lane."""

from __future__ import annotations

import numpy as np

from hpo_env.tasks.base import Task, TaskFamily

_MOST_DRAWN = 16  # tasks drawn for one that is asked for; of names that stay rare, tasks repeat


def draw_groups(
    family: TaskFamily,
    rng: np.random.Generator,
    *,
    num_groups: int,
    size: int,
    learned_start: float = 0.0,
) -> list[list[Task]]:
    """Draw groups of tasks, those of a group with one name.

    Args:
        family: What to draw from.
        rng: Where randomness comes from.
        num_groups: How many; where there are fewer names, several groups share one.
        size: Tasks of a group.
        learned_start: Share of them that begin at the family's learned start.
    """
    found: dict[str, list[Task]] = {}
    for _ in range(_MOST_DRAWN * num_groups * size):
        task = family.sample(rng)
        if learned_start > 0.0 and rng.random() < learned_start:
            task = family.at_learned_start(task)
        found.setdefault(task.name, []).append(task)
        first = list(found.values())[:num_groups]
        if len(first) == num_groups and min(len(tasks) for tasks in first) >= size:
            break
    first = list(found.values())[:num_groups]
    groups = []
    for number in range(num_groups):
        round_, place = divmod(number, len(first))
        tasks = first[place]
        groups.append([tasks[(round_ * size + k) % len(tasks)] for k in range(size)])
    return groups
