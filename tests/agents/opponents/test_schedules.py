from __future__ import annotations

import numpy as np
import pytest

from agents.opponents.base import Instance, Outcome, Setup
from agents.opponents.drawing import make_tasks
from agents.opponents.lanes import Workload, with_initial
from agents.opponents.registry import make_opponent
from agents.opponents.rules import RULES, find_rule
from agents.opponents.schedules import Scheduled
from hpo_env.errors import UnknownNameError
from hpo_env.schedules import SCHEDULES
from hpo_env.tasks.registry import make_family
from tests.agents.opponents.by_hand import assert_same, run_by_hand
from tests.agents.opponents.policies import steady_policy

WORKLOAD = Workload(family="quadratic")
POLICY = steady_policy("quadratic", ("learning_rate",), base_schedule="one_cycle")
SETUP = Setup(policy=POLICY, hyperparameters=("learning_rate",))
TASKS = make_tasks(make_family("quadratic", num_decisions=12), 2, 0, starts=(1e-3, 1e-1, 10.0))
INSTANCES = [Instance(task=task, seed=4) for task in TASKS]


def outcomes(name: str) -> list[Outcome]:
    opponent = make_opponent(name, SETUP)
    return opponent.run(WORKLOAD, [opponent.canonical(i, WORKLOAD) for i in INSTANCES], {})


def courses(name: str) -> np.ndarray:
    return np.array([outcome.hyperparameters["learning_rate"] for outcome in outcomes(name)])


@pytest.mark.parametrize(
    ("name", "schedule", "rate"),
    [
        ("default", "constant", 0.1),
        *((schedule, schedule, 0.1) for schedule in SCHEDULES if schedule != "constant"),
        ("user_constant", "constant", None),
        ("frozen", "one_cycle", None),
    ],
)
def test_runs_are_those_of_the_environment_bit_for_bit(
    name: str, schedule: str, rate: float | None
) -> None:
    for instance, outcome in zip(INSTANCES, outcomes(name), strict=True):
        started = instance if rate is None else with_initial(instance, np.array([rate]))
        found = run_by_hand(
            started, family="quadratic", base_schedule=schedule, on_divergence="end"
        )
        assert_same(outcome, found)


def test_the_users_rate_matters_to_those_who_keep_it_and_to_nobody_else() -> None:
    for name, expected in [("user_constant", 3), ("cosine", 1), ("plateau", 1), ("greedy_lr", 1)]:
        opponent = make_opponent(name, SETUP)
        assert len({opponent.canonical(i, WORKLOAD) for i in INSTANCES[:3]}) == expected


@pytest.mark.parametrize("name", ["default", "cosine", "plateau"])
def test_defaults_are_those_of_the_hyperparameters_and_the_rest_belongs_to_the_task(
    name: str,
) -> None:
    workload = Workload()
    family = make_family(
        "supervised", dataset="diabetes", initial={"batch_size": 256.0, "weight_decay": 1e-2}
    )
    instance = Instance(task=make_tasks(family, 1, 0, starts=(1e-1,))[0], seed=0)
    hyperparameters = ("learning_rate", "weight_decay")
    opponent = make_opponent(
        name,
        Setup(policy=steady_policy("supervised", hyperparameters), hyperparameters=hyperparameters),
    )
    initial = opponent.canonical(instance, workload).task.initial
    start = dict(zip(workload.space.names, initial, strict=True))
    assert start["learning_rate"] == 1e-3
    assert start["weight_decay"] == 1e-4
    assert start["batch_size"] == 256.0


@pytest.mark.parametrize("name", ["plateau", "greedy_lr", "interval_hypergradient"])
def test_adaptive_rates_start_at_the_default_and_react(name: str) -> None:
    rates = courses(name)
    np.testing.assert_array_equal(rates[:, 0], 0.1)
    assert (rates != 0.1).any()


def test_unknown_rules_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'plateau'"):
        Scheduled(name="x", schedule="plateu", is_default=True)
    assert find_rule("plateau") is RULES["plateau"]
