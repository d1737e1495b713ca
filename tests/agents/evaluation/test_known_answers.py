from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.evaluation.known_answers import (
    KalmanGain,
    local_level_error_ratio,
    quadratic_drop_share,
)
from agents.evaluation.methods import Act, Method, Scheduled
from agents.evaluation.protocol import make_tasks, run_method
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.tasks.base import Task
from hpo_env.tasks.local_level import kalman_gain
from hpo_env.tasks.quadratic import UPDATES_PER_DECISION, QuadraticTask, optimal_rates
from hpo_env.tasks.registry import make_family
from hpo_env.vector_env import HPOControlVectorEnv

OWN = Scheduled(name="own", base_schedule="constant")


def decision_rates(task: Task) -> list[float]:
    assert isinstance(task, QuadraticTask)
    rates: list[float] = (
        optimal_rates(task)[0].reshape(-1, UPDATES_PER_DECISION).mean(axis=1).tolist()
    )
    return rates


class Optimal(Method):
    """The closed-form rates, averaged over each decision."""

    name = "optimal"
    base_schedule = "constant"
    hyperparameters = None

    def prepare(self, task: Task, space: HyperparameterSpace) -> Task:
        return replace(task, initial=(decision_rates(task)[0],))

    def start(self, env: HPOControlVectorEnv, seed: int) -> Act:
        assert env.tasks_given is not None
        rates = np.array([decision_rates(task) for task in env.tasks_given])
        steps = np.diff(np.log(rates), axis=1, prepend=np.log(rates[:, :1])) / np.log(100.0)
        moves = iter(steps.T)
        return lambda observations: next(moves)[:, None]


def test_the_optimal_rates_reach_the_optimal_drop() -> None:
    tasks = make_tasks(make_family("quadratic", split="test"), 100, 0)
    results = run_method(Optimal(), tasks, [0], family="quadratic")
    assert quadratic_drop_share(results) == pytest.approx(1.0, abs=0.03)


def test_a_rate_that_moves_nothing_has_no_share_in_the_drop() -> None:
    tasks = make_tasks(make_family("quadratic"), 5, 0, initial_rates=[1e-6])
    results = run_method(OWN, tasks, [0], family="quadratic")
    assert quadratic_drop_share(results) == pytest.approx(0.0, abs=0.01)


def test_the_kalman_gain_is_its_own_measure_and_others_do_worse() -> None:
    tasks = make_tasks(make_family("local_level", split="test"), 20, 0, initial_rates=[1.0])
    oracle = run_method(KalmanGain(), tasks, [0], family="local_level")
    gains = [kalman_gain(task.noise_ratio) for task in tasks]  # type: ignore[attr-defined]
    np.testing.assert_allclose(oracle.hyperparameters["smoothing"][:, -1], gains)
    assert local_level_error_ratio(oracle, oracle) == 1.0
    assert local_level_error_ratio(run_method(OWN, tasks, [0], family="local_level"), oracle) > 1.1


def test_results_of_other_families_are_refused() -> None:
    quadratic = run_method(OWN, make_tasks(make_family("quadratic"), 1, 0), [0], family="quadratic")
    tasks = make_tasks(make_family("local_level"), 1, 0)
    level = run_method(OWN, tasks, [0], family="local_level")
    with pytest.raises(ConfigurationError, match="'quadratic' only"):
        quadratic_drop_share(level)
    with pytest.raises(ConfigurationError, match="'local_level' only"):
        local_level_error_ratio(quadratic, quadratic)
