"""The account that lanes keep: what is returned, what is copied, what is charged."""

from dataclasses import replace

import numpy as np

from agents.opponents.base import Instance
from agents.opponents.lanes import Workload
from hpo_env.tasks.registry import make_family

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
