from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from agents.opponents.base import Instance, Opponent, Setup
from agents.opponents.configurations import Configuration, draw_values, log_losses
from agents.opponents.drawing import make_tasks
from agents.opponents.lanes import Workload, with_initial
from agents.opponents.registry import make_opponent
from agents.opponents.starts import start_grid
from agents.opponents.tuned import NUM_DRAWN, Tuned
from hpo_env.errors import ConfigurationError
from hpo_env.seeding import stream
from hpo_env.tasks.base import Task
from hpo_env.tasks.registry import make_family
from hpo_env.tasks.supervised.data import SupervisedTask
from tests.agents.opponents.policies import steady_policy

QUADRATIC = Workload(family="quadratic")
SUPERVISED = Workload(options={"updates_per_decision": 2})
HYPERPARAMETERS = ("learning_rate", "weight_decay")


def make(name: str, family: str = "quadratic") -> Opponent:
    hyperparameters = HYPERPARAMETERS if family == "supervised" else HYPERPARAMETERS[:1]
    return make_opponent(
        name, Setup(policy=steady_policy(family, hyperparameters), hyperparameters=hyperparameters)
    )


def quadratics(count: int) -> list[Instance]:
    tasks = make_tasks(make_family("quadratic", num_decisions=12), count, 0)
    return [Instance(task=task, seed=1) for task in tasks]


def supervised(optimizers: tuple[str, ...]) -> list[Instance]:
    def task(optimizer: str) -> Task:
        family = make_family(
            "supervised",
            dataset="diabetes",
            model="mlp_32x2_relu",
            optimizer=optimizer,
            num_decisions=4,
        )
        return make_tasks(family, 1, 0)[0]

    return [Instance(task=task(optimizer), seed=1) for optimizer in optimizers]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_the_start_is_the_one_that_does_best_alone(schedule: str) -> None:
    instances = quadratics(4)
    prepared = make(f"{schedule}_tuned").prepare(QUADRATIC, instances)
    alone = {}
    for start in start_grid(QUADRATIC.leading):
        configuration = Configuration(schedule=schedule, values={"learning_rate": start})
        alone[start] = float(log_losses(QUADRATIC, instances, [configuration]).mean())
    assert prepared["overall"] == {"learning_rate": min(alone, key=lambda start: alone[start])}
    np.testing.assert_allclose(prepared["scores"], list(alone.values()), rtol=1e-12)


def test_where_opponents_choose_the_start_alone_the_rest_stays_the_tasks_own() -> None:
    policy = steady_policy("supervised", HYPERPARAMETERS)
    leading = Setup(policy=policy, hyperparameters=HYPERPARAMETERS[:1])
    opponent = make_opponent("cosine_tuned", leading)
    given = supervised(("adamw",))[0]
    values = np.array(given.task.initial)
    values[SUPERVISED.space.index("weight_decay")] = 3e-3
    own = opponent.canonical(with_initial(given, values), SUPERVISED).task.initial
    assert own[SUPERVISED.space.index("weight_decay")] == 3e-3
    assert own[SUPERVISED.column] == 1e-3


def test_rates_that_diverge_are_punished_and_not_chosen() -> None:
    prepared = make("constant_tuned").prepare(QUADRATIC, quadratics(3))
    grid = start_grid(QUADRATIC.leading)
    assert [c["learning_rate"] for c in prepared["candidates"]] == list(grid)
    assert prepared["scores"][-1] > prepared["scores"][0]
    assert 1e-2 < prepared["overall"]["learning_rate"] < 10.0


def test_the_users_initial_rates_are_each_one_task_and_not_counted_twice() -> None:
    instances = quadratics(2)
    repeated = [instances[0], with_initial(instances[0], np.array([1e-4])), instances[1]]
    opponent = make("cosine_tuned")
    assert opponent.prepare(QUADRATIC, repeated) == opponent.prepare(QUADRATIC, instances)


def test_a_fixed_configuration_sets_all_hyperparameters_and_may_be_the_defaults() -> None:
    opponent = cast(Tuned, make("fixed_tuned", "supervised"))
    candidates = opponent.candidates(SUPERVISED)
    assert candidates[0] == {}
    assert len(candidates) == NUM_DRAWN + 1 == 24
    assert all(set(values) == set(HYPERPARAMETERS) for values in candidates[1:])
    given = supervised(("adamw",))
    prepared = opponent.prepare(SUPERVISED, given)
    outcome = opponent.run(SUPERVISED, [opponent.canonical(given[0], SUPERVISED)], prepared)[0]
    assert outcome.log_last_loss() == min(prepared["scores"]), "the best on its only task"
    for name, value in prepared["overall"].items():
        np.testing.assert_array_equal(outcome.hyperparameters[name], value)


def test_what_is_not_chosen_stays_the_users_own() -> None:
    opponent = make("cosine_tuned", "supervised")
    given = supervised(("adamw",))[0]
    space = SUPERVISED.space
    values = np.array(given.task.initial)
    values[space.index("batch_size")], values[space.index("weight_decay")] = 20.0, 3e-3
    canonical = opponent.canonical(with_initial(given, values), SUPERVISED)
    prepared = {"overall": {"learning_rate": 1e-2}}
    courses = opponent.run(SUPERVISED, [canonical], prepared)[0].hyperparameters
    assert courses["batch_size"][0] == 20.0
    assert courses["weight_decay"][0] == 1e-4
    assert 0.9e-2 < courses["learning_rate"][0] < 1e-2


def test_each_optimizer_gets_its_own_rate_and_an_unseen_one_the_overall_rate() -> None:
    opponent = make("cosine_per_optimizer", "supervised")
    instances = supervised(("sgd", "rmsprop"))
    prepared = opponent.prepare(SUPERVISED, instances)
    alone = {
        name: make("cosine_tuned", "supervised").prepare(SUPERVISED, [instance])["overall"]
        for name, instance in zip(("sgd", "rmsprop"), instances, strict=True)
    }
    assert prepared["per_label"]["optimizer"] == alone
    assert alone["sgd"] != alone["rmsprop"], "equal rates would show nothing"
    unseen = replace(
        instances[0], task=replace(cast(SupervisedTask, instances[0].task), optimizer="adam")
    )
    assert opponent.values(unseen, prepared) == prepared["overall"]  # type: ignore[attr-defined]
    assert opponent.values(instances[0], prepared) == alone["sgd"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["fixed_tuned", "cosine_per_optimizer", "portfolio", "open_loop"])
def test_nothing_to_learn_from_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="give at least one"):
        make(name).prepare(QUADRATIC, [])


def test_drawn_values_cover_the_ranges_evenly_on_their_scales() -> None:
    space = SUPERVISED.space
    drawn = draw_values(space, HYPERPARAMETERS, 2000, stream(0))
    rates = np.log10([values["learning_rate"] for values in drawn])
    decays = np.log10([values["weight_decay"] for values in drawn])
    np.testing.assert_allclose(np.quantile(rates, [0.0, 0.5, 1.0]), [-5.0, -2.5, 0.0], atol=0.15)
    np.testing.assert_allclose(np.quantile(decays, [0.0, 0.5, 1.0]), [-6.0, -3.5, -1.0], atol=0.15)
