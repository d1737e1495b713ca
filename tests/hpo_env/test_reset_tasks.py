"""A reset exchanges the tasks of lanes, without building a new environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from hpo_env.errors import ConfigurationError
from hpo_env.tasks.base import Task
from hpo_env.tasks.registry import FAMILIES, make_family
from hpo_env.vector_env import HPOControlVectorEnv
from tests.hpo_env.families import SMALL
from tests.hpo_env.sharding.comparing import assert_same_results, draw_actions, sharded


def draw(family: str, count: int, seed: int = 0) -> list[Task]:
    options = {k: v for k, v in SMALL[family].items() if k != "engine"}
    rng = np.random.default_rng(seed)
    made = make_family(family, **options)
    return [made.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_as_if_they_had_been_given_at_the_start(family: str) -> None:
    tasks = draw(family, 2)
    given = HPOControlVectorEnv(2, family=family, tasks=tasks, **SMALL[family])
    changed = HPOControlVectorEnv(2, family=family, **SMALL[family])
    changed.reset(seed=9)
    changed.step(np.zeros(changed.action_space.shape or ()))
    expected, _ = given.reset(seed=3)
    observations, _ = changed.reset(seed=3, options={"tasks": tasks})
    assert np.array_equal(observations, expected)
    for actions in draw_actions(given, SMALL[family]["num_decisions"] + 1):  # beyond an autoreset
        assert_same_results(changed.step(actions), given.step(actions))
    assert changed.tasks == changed.tasks_given == tasks


def test_lanes_that_are_not_reset_keep_theirs_and_none_draws_again() -> None:
    first, second = draw("quadratic", 2), draw("quadratic", 2, seed=1)
    env = HPOControlVectorEnv(2, family="quadratic", tasks=first)
    env.reset(seed=0)
    env.reset(options={"tasks": second, "reset_mask": np.array([False, True])})
    assert env.tasks == [first[0], second[1]]
    env.reset()
    assert env.tasks == [first[0], second[1]]
    env.reset(options={"tasks": [None, second[0]]})
    assert env.tasks[0] not in (*first, *second)
    assert env.tasks[1] == second[0]
    assert env.tasks_given is None


def test_the_single_environment_takes_one() -> None:
    (task,) = draw("quadratic", 1)
    env: Any = gym.make("HPOControl-v0", family="quadratic").unwrapped
    env.reset(seed=0, options={"tasks": [task]})
    assert env.lanes.tasks == [task]
    env.reset()
    assert env.lanes.tasks == [task]


def test_lanes_in_several_processes_take_them_too() -> None:
    tasks = draw("quadratic", 3)
    with sharded(3, 0) as one, sharded(3, 2) as many:
        for arguments in (
            {"seed": 1},
            {"seed": 2, "options": {"tasks": tasks}},
            {"options": {"tasks": tasks[::-1], "reset_mask": np.array([True, False, False])}},
            {},
        ):
            assert_same_results(many.reset(**arguments), one.reset(**arguments))
            assert many.tasks == one.tasks
            assert many.tasks_given == one.tasks_given


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "one entry for each of 2 lanes, a task or None; got 0"),
        (7, "got int"),
        ("two", "got 3|got two|one entry"),
        ([None, "task"], r"tasks\[1\] must be a task or None; got str"),
        ([None, Task(name="", num_decisions=1, initial=(1.0, 2.0))], r"tasks\[1\] .* another"),
    ],
)
def test_what_is_no_list_of_tasks_is_refused_and_nothing_changes(tasks: Any, message: str) -> None:
    for num_workers in (0, 2):
        with sharded(2, num_workers) as env:
            env.reset(seed=0)
            before = list(env.tasks)
            with pytest.raises(ConfigurationError, match=message):
                env.reset(seed=1, options={"tasks": tasks})
            assert env.tasks == before
