"""Which cells there are, and which of them several rows share."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from quadratic_opponents import FAR, NEAR, Indifferent, Learned, Steady

from agents.comparing.matrix import EvaluationProtocol
from agents.opponents.base import Setup
from agents.opponents.registry import make_opponent
from hpo_env.errors import ConfigurationError
from hpo_env.tasks.bands import band_owner
from hpo_env.tasks.quadratic import QuadraticTask
from hpo_env.tasks.registry import family_class
from tests.agents.comparing.conftest import MakeMatrix
from tests.agents.opponents.policies import steady_policy


def test_there_is_a_row_for_each_opponent_task_rate_and_seed(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix([Steady(name="a"), Steady(name="b")], (NEAR, FAR))
    rows = {
        (r.opponent, r.suite, r.instance.lane_seed, r.start, r.instance.seed) for r in matrix.rows
    }
    assert len(rows) == len(matrix.rows) == len(matrix.cells) == 2 * 2 * 2 * 2 * 2
    assert Counter(r.start for r in matrix.rows) == {0.01: 16, 0.1: 16}


def test_who_ignores_the_users_rate_is_run_once_for_all_rates(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix([Indifferent(name="same")])
    assert len(matrix.rows) == 8
    assert len(matrix.cells) == 4
    assert set(Counter(r.cell for r in matrix.rows).values()) == {2}


def test_another_opponent_or_task_leaves_the_keys_of_the_others(make_matrix: MakeMatrix) -> None:
    few = make_matrix([Steady(name="a")])
    more = make_matrix([Steady(name="b"), Steady(name="a")], (FAR, NEAR), num_tasks=3, num_seeds=3)
    assert set(few.cells) < set(more.cells)


def test_suites_that_share_an_instance_share_its_cell(make_matrix: MakeMatrix) -> None:
    assert len(make_matrix([Steady(name="a")], (NEAR, NEAR)).cells) == 8


def test_opponents_are_tuned_once_on_the_agents_side(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix([Steady(name="a"), Learned(name="tuned")], (NEAR, FAR))
    (preparation,) = matrix.preparations.values()
    assert preparation.opponent.name == "tuned"
    assert len(preparation.instances) == 3
    for instance in preparation.instances:
        assert isinstance(instance.task, QuadraticTask)
        assert band_owner(instance.task.curvature) == "train"
    needed = {(c.opponent.name, c.preparation) for c in matrix.cells.values()}
    assert needed == {("a", None), ("tuned", preparation.key)}


def test_opponents_of_equal_lessons_learn_once(make_matrix: MakeMatrix) -> None:
    policy = steady_policy("supervised", ("learning_rate",))
    setup = Setup(policy=policy, hyperparameters=("learning_rate",))
    names = ("cosine_tuned", "cosine_per_optimizer", "one_cycle_tuned")
    opponents = [make_opponent(name, setup) for name in names]
    suite = family_class("supervised").suites[0]
    matrix = make_matrix(opponents, (suite,), "supervised", num_tasks=1, num_seeds=1)
    assert len(matrix.preparations) == 2
    assert matrix.lessons["cosine_tuned"] == matrix.lessons["cosine_per_optimizer"]
    assert len(matrix.cells) == 3  # each is a cell of its own all the same


def test_another_tuning_concerns_those_who_are_tuned_only(make_matrix: MakeMatrix) -> None:
    opponents = [Steady(name="a"), Learned(name="tuned")]
    one, other = (make_matrix(opponents, num_tuning_tasks=n) for n in (3, 4))
    shared = [one.cells[key].opponent.name for key in set(one.cells) & set(other.cells)]
    assert shared == ["a"] * 8


@pytest.mark.parametrize("name", ["num_tasks", "num_seeds", "num_tuning_tasks"])
def test_impossible_protocols_are_refused(name: str) -> None:
    usual: dict[str, Any] = {"num_tasks": 1, "num_seeds": 1, "num_tuning_tasks": 1}
    with pytest.raises(ConfigurationError, match=f"{name} must be at least 1; got 0"):
        EvaluationProtocol(**(usual | {name: 0}), starts=None)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="seed must not be negative"):
        EvaluationProtocol(num_tasks=1, num_seeds=1, num_tuning_tasks=1, starts=None, seed=-1)
