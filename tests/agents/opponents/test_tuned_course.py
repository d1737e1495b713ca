"""A course that was tuned on the meta-training tasks, and settings that others recommend."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.opponents.base import Instance, Opponent, Setup
from agents.opponents.drawing import make_tasks
from agents.opponents.lanes import Workload
from agents.opponents.registry import make_opponent
from agents.opponents.tuned import NUM_DRAWN
from agents.opponents.tuned_course import NUM_COURSES
from hpo_env.errors import ConfigurationError
from hpo_env.tasks.automl.space import HYPERPARAMETERS, LIBRARY_NAMES
from hpo_env.tasks.automl.task import AutomlTask
from hpo_env.tasks.registry import make_family
from tests.agents.opponents.policies import steady_policy
from tests.awkward.family import AwkwardFamily

AWKWARD = Workload(family=AwkwardFamily.__module__ + ":AwkwardFamily")
NAMES = ("width", "tries")


def make(name: str, family: str = AWKWARD.family, names: tuple[str, ...] = NAMES) -> Opponent:
    policy = steady_policy(family, names, base_schedule="constant")
    return make_opponent(name, Setup(policy=policy, hyperparameters=names))


def games(count: int, num_decisions: int = 6) -> list[Instance]:
    tasks = make_tasks(make_family(AWKWARD.family, num_decisions=num_decisions), count, 0)
    return [Instance(task=task, seed=1) for task in tasks]


def test_the_best_of_settings_and_courses_is_kept() -> None:
    prepared = make("course_tuned").prepare(AWKWARD, games(4))
    assert len(prepared["scores"]) == 1 + NUM_DRAWN + NUM_COURSES
    best = int(np.argmin(prepared["scores"]))
    assert (prepared["first"] == prepared["last"]) == (best <= NUM_DRAWN)
    again = make("course_tuned").prepare(AWKWARD, games(4))
    assert again == prepared


def test_it_goes_in_equal_steps_on_each_axis() -> None:
    prepared = {"first": {"width": 1.0, "tries": 2.0}, "last": {"width": 2.0, "tries": 8.0}}
    (outcome,) = make("course_tuned").run(AWKWARD, games(1, 5), prepared)
    width, tries = (outcome.hyperparameters[name] for name in NAMES)
    np.testing.assert_allclose(width, [1.0, 1.25, 1.5, 1.75, 2.0])  # linear
    np.testing.assert_allclose(tries, [2, 3, 4, 6, 8])  # whole numbers on a logarithmic axis


def test_it_is_tuned_on_something() -> None:
    with pytest.raises(ConfigurationError, match="'course_tuned' is tuned on meta-training"):
        make("course_tuned").prepare(AWKWARD, [])


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("lightgbm_slow", "binary", {"learning_rate": 0.03}),
        ("tabarena_lightgbm", "regression", {"learning_rate": 0.05}),
        (
            "lightgbm_td",
            "regression",
            {"learning_rate": 0.05, "num_leaves": 100, "min_data_in_leaf": 3, "row_fraction": 0.7},
        ),
        (
            "lightgbm_td",
            "multiclass",
            {"learning_rate": 0.04, "num_leaves": 50, "min_data_in_leaf": 40, "row_fraction": 0.75},
        ),
    ],
)
def test_settings_of_others_are_those_they_published(
    name: str, target: str, expected: dict[str, float]
) -> None:
    task = AutomlTask(
        name="iris",
        num_decisions=2,
        initial=tuple(2.0 * h.low for h in HYPERPARAMETERS),  # wherever the user began
        table="iris",
        target=target,  # type: ignore[arg-type]
        split_seed=0,
        num_rows=150,
        num_columns=4,
        rounds_per_decision=2,
    )
    workload = Workload(family="automl")
    opponent = make(name, "automl", LIBRARY_NAMES)
    begun = opponent.canonical(Instance(task=task, seed=0), workload)
    values = dict(zip(workload.space.names, begun.task.initial, strict=True))
    defaults = dict(zip(workload.space.names, workload.space.defaults.tolist(), strict=True))
    # What is no opponent's to choose stays the task's own.
    assert values == defaults | expected | {"linear_shrinkage": 0.0}
    other = opponent.canonical(Instance(task=replace(task, initial=(1.0,) * 7), seed=0), workload)
    assert other.task.initial[:6] == begun.task.initial[:6]
