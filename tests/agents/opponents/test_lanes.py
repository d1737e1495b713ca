"""The account that lanes keep: what is returned, what is copied, what is charged."""

from dataclasses import replace

import numpy as np
import pytest

from agents.opponents.base import Instance, Setup
from agents.opponents.lanes import Workload
from agents.opponents.registry import make_opponent
from hpo_env.tasks.registry import make_family
from hpo_env.tasks.supervised.data import SupervisedTask
from tests.agents.opponents.policies import steady_policy

WORKLOAD = Workload(family="quadratic")
RATES = np.array([[0.05], [0.2]])


def instance(num_decisions: int = 4) -> Instance:
    task = make_family("quadratic").sample(np.random.default_rng(1))
    return Instance(task=replace(task, num_decisions=num_decisions), seed=0)


def test_a_trial_that_was_stopped_early_is_not_returned_even_if_its_loss_is_lower() -> None:
    one = instance()
    lanes = WORKLOAD.open([one, one])
    lanes.advance(RATES)
    better = int(np.argmin(lanes.losses))
    early = lanes.losses[better]
    lanes.finish([better])
    lanes.keep([1 - better])
    while not lanes.is_over.all():
        lanes.advance(np.array([[1e-6]]))  # hardly moves
    lanes.finish([0])
    outcome = lanes.outcome(one)
    assert outcome.last_loss > early
    assert outcome.trial_intervals.tolist() == [1, 4]
    assert np.isfinite(outcome.validation_loss).all()


def test_of_stopped_trials_alone_the_best_is_returned() -> None:
    one = instance()
    lanes = WORKLOAD.open([one, one])
    lanes.advance(RATES)
    losses = lanes.losses.copy()
    lanes.finish([0, 1])
    assert lanes.outcome(one).last_loss == losses.min()


def test_a_fork_has_its_sources_history_and_only_new_intervals_are_charged() -> None:
    one = instance()
    lanes = WORKLOAD.open([one, one])
    lanes.advance(RATES)
    lanes.fork([0], [1])
    assert lanes.losses[0] == lanes.losses[1]
    while not lanes.is_over.all():
        lanes.advance(RATES)
    lanes.finish([0, 1])
    outcome = lanes.outcome(one)
    assert outcome.num_updates == 8 * WORKLOAD.updates_per_decision
    winner = int(np.argmin(outcome.trial_validation_loss))
    rates = [RATES[0, 0], *[RATES[winner, 0]] * 3]
    assert outcome.hyperparameters["learning_rate"].tolist() == rates


def test_a_frozen_run_goes_on_bit_for_bit() -> None:
    one = instance()
    lanes = WORKLOAD.open([one])
    lanes.advance(RATES[:1])
    held = lanes.freeze([0])
    ends = []
    for _ in range(2):
        lanes.restore([0], held)
        while not lanes.is_over.all():
            lanes.advance(RATES[:1])
        ends.append(lanes.losses[0])
    assert ends[0] == ends[1]


CLOCKS = (3, 5, 2)


def with_clocks() -> list[Instance]:
    """Return instances of tasks whose intervals are of unequal lengths; 5 is the workload's own."""
    family = make_family("supervised", model="mlp_32x2_relu", optimizer="adamw", num_decisions=4)
    task = family.sample(np.random.default_rng(0))
    assert isinstance(task, SupervisedTask)
    clocks = [None if clock == 5 else clock for clock in CLOCKS]
    return [
        Instance(task=replace(task, updates_per_decision=clock), seed=seed)
        for seed, clock in enumerate(clocks)
    ]


@pytest.mark.parametrize("kind", ["lanes", "environment"])
def test_each_run_is_charged_the_updates_of_its_own_clock(kind: str) -> None:
    workload, instances = Workload(options={"updates_per_decision": 5}), with_clocks()
    if kind == "lanes":
        lanes = workload.open(instances)
        while not lanes.is_over.all():
            lanes.advance(lanes.initial)
        lanes.finish(np.arange(3))
        outcomes = [lanes.outcome(instance) for instance in instances]
    else:
        policy = steady_policy("supervised", ("learning_rate",))
        opponent = make_opponent(
            "controller", Setup(policy=policy, hyperparameters=("learning_rate",))
        )
        outcomes = opponent.run(workload, instances, {})
    assert [outcome.num_updates for outcome in outcomes] == [4 * clock for clock in CLOCKS]
    assert [outcome.spent_updates.tolist() for outcome in outcomes] == [[4 * c] for c in CLOCKS]
