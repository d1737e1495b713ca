from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from agents.opponents.drawing import make_tasks
from agents.opponents.instances import lane_seed
from hpo_env.datasets import dataset_names
from hpo_env.errors import ConfigurationError
from hpo_env.tasks.base import Task
from hpo_env.tasks.registry import make_family

STARTS = (1e-4, 1e-2, 1.0)


def quadratics(count: int = 3, starts: tuple[float, ...] | None = None) -> list[Task]:
    return make_tasks(make_family("quadratic"), count, 0, starts=starts)


def test_tasks_do_not_depend_on_how_many_are_drawn() -> None:
    assert quadratics(5)[:2] == quadratics(2)
    assert len(set(quadratics(5))) == 5


def test_tasks_are_spread_evenly_over_names_and_first_labels() -> None:
    tasks = make_tasks(make_family("supervised", split="test"), 24, 0)
    per_dataset = Counter(task.name for task in tasks)
    assert set(per_dataset) == set(dataset_names(split="test"))
    assert max(per_dataset.values()) <= 4
    per_architecture = Counter(task.labels["architecture"] for task in tasks)
    assert len(per_architecture) >= 3


def test_each_task_is_repeated_from_every_start() -> None:
    tasks = quadratics(2, STARTS)
    assert [task.initial[0] for task in tasks] == [*STARTS, *STARTS]
    assert tasks[1] == replace(tasks[0], initial=(1e-2,))
    assert tasks[0] == replace(quadratics(2)[0], initial=(1e-4,))
    assert len({lane_seed(task, 3) for task in tasks}) == 2  # weights and minibatches stay


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "at least 1 task"),
        ({"starts": ()}, "at least one value"),
        ({"starts": (1e-2, 1e3)}, r"learning_rate must lie in \[1e-06, 100\]; got 1000"),
    ],
)
def test_impossible_tasks_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        quadratics(**arguments)
