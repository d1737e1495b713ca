"""Tasks drawn from classes of examples: some of the classes, and of each a few rows.

Axes: `B` tasks, `K` classes of a task, `n` examples of a class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpo_env.few_shot.base import Array, FewShotTasks


def draw_tasks(
    rng: np.random.Generator,
    classes: Sequence[Sequence[Array]],
    *,
    num_ways: int,
    num_shots: int,
    num_queries: int,
) -> FewShotTasks:
    """Draw tasks whose examples are ordered by class.

    Args:
        rng: Everything drawn comes from here.
        classes: For each of `B` tasks the classes that there are: their examples `[n, ...]`.
        num_ways: `K`.
        num_shots: Support examples of each class.
        num_queries: Query examples of each class.
    """
    num_each = num_shots + num_queries
    tasks = []
    for choices in classes:
        chosen = rng.choice(len(choices), size=num_ways, replace=False)
        drawn = [rng.choice(len(choices[k]), size=num_each, replace=False) for k in chosen]
        tasks.append([choices[k][rows] for k, rows in zip(chosen, drawn, strict=True)])
    return tasks_of(np.asarray(tasks, dtype=np.float32), num_shots)


def tasks_of(examples: Array, num_shots: int) -> FewShotTasks:
    """Make tasks of drawn examples `[B, K, n, ...]`, the first ones of each class for support."""
    num_tasks, num_ways, _, *shape = examples.shape
    parts = np.split(examples, [num_shots], axis=2)
    support, query = (np.ascontiguousarray(part.reshape(num_tasks, -1, *shape)) for part in parts)
    of_support, of_query = (
        np.tile(np.repeat(np.arange(num_ways), part.shape[2]), (num_tasks, 1)) for part in parts
    )
    return FewShotTasks(
        support_inputs=support,
        support_targets=of_support,
        query_inputs=query,
        query_targets=of_query,
    )
