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
    examples = np.asarray(tasks, dtype=np.float32)  # [B, K, each, ...]
    support, query = np.split(examples, [num_shots], axis=2)
    shape = examples.shape[3:]
    targets = [
        np.tile(np.repeat(np.arange(num_ways), count), (len(tasks), 1))
        for count in (num_shots, num_queries)
    ]
    return FewShotTasks(
        support_inputs=np.ascontiguousarray(support.reshape(len(tasks), -1, *shape)),
        support_targets=targets[0],
        query_inputs=np.ascontiguousarray(query.reshape(len(tasks), -1, *shape)),
        query_targets=targets[1],
    )
