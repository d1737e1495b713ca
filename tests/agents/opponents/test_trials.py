from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.opponents.lanes import Workload
from hpo_env.reward import DIVERGENCE_LOG_RATIO
from hpo_env.schedules import interval_factors
from tests.agents.opponents.searching import QUADRATIC, SUPERVISED, instances, open_trials

POINTS = np.array([[0.3], [0.5], [0.6]])


@pytest.mark.parametrize("workload", [QUADRATIC, SUPERVISED], ids=lambda workload: workload.family)
def test_a_promoted_run_equals_one_that_was_never_put_aside(workload: Workload) -> None:
    (instance,) = instances(workload)
    whole, halved = open_trials(workload, instance), open_trials(workload, instance)
    uninterrupted = whole.make(POINTS)
    whole.train(uninterrupted)
    trials = halved.make(POINTS)
    halved.train(trials, 2)
    halved.train([trials[2], trials[0]], 5)  # fewer, and in other slots
    halved.train([trials[0]])
    assert trials[0].score == uninterrupted[0].score
    whole.end(uninterrupted[:1])
    halved.end(trials[:1])
    one, other = whole.lanes.outcome(instance), halved.lanes.outcome(instance)
    np.testing.assert_array_equal(one.validation_loss, other.validation_loss)
    assert one.test_loss == other.test_loss
    assert whole.lanes.outcome(instance).num_updates == 3 * 9 * workload.updates_per_decision
    assert (
        halved.lanes.outcome(instance).num_updates
        == (3 * 2 + 2 * 3 + 4) * workload.updates_per_decision
    )


def test_trials_do_not_depend_on_how_many_train_together() -> None:
    (instance,) = instances(SUPERVISED)
    scores = []
    for workload in (SUPERVISED, replace(SUPERVISED, max_lanes=2)):
        trials = open_trials(workload, instance)
        made = trials.make(POINTS)
        trials.train(made)
        trials.end(made)
        scores.append([trial.score for trial in made])
    assert scores[0] == scores[1]


def test_trials_follow_the_schedule_over_the_whole_horizon() -> None:
    (instance,) = instances(QUADRATIC)
    trials = open_trials(QUADRATIC, instance, schedule="linear")
    made = trials.make(POINTS)
    trials.train(made, 4)
    trials.train(made[1:2])
    trials.end(made[1:2])
    factors = interval_factors("linear", np.arange(9), np.full(9, 9))
    np.testing.assert_allclose(
        trials.lanes.outcome(instance).hyperparameters["learning_rate"],
        made[1].initial[0] * factors,
    )


def test_the_budget_falls_by_the_intervals_that_were_trained() -> None:
    trials = open_trials(QUADRATIC, instances(QUADRATIC)[0], max_runs=10)
    made = trials.make(POINTS)
    trials.train(made, 2)
    trials.train(made[:1])
    assert trials.budget == 90 - 3 * 2 - 7


def test_a_diverged_trial_scores_what_the_reward_gives_it_and_costs_no_more() -> None:
    trials = open_trials(QUADRATIC, instances(QUADRATIC)[0], max_runs=10)
    first = float(np.log(trials.lanes.losses[0]))
    made = trials.make(np.array([[1.0]]))
    trials.train(made)
    assert made[0].diverged
    assert made[0].is_over
    assert made[0].score == pytest.approx(first + DIVERGENCE_LOG_RATIO + 1.0)
    assert trials.budget == 90 - made[0].interval < 90


def test_a_fork_goes_on_from_its_source_at_its_own_point() -> None:
    (instance,) = instances(QUADRATIC)
    trials = open_trials(QUADRATIC, instance)
    trials.load(trials.make(POINTS))
    trials.step()
    trials.fork(2, 0, np.array([0.1]))
    assert trials.slots[0].score == trials.slots[2].score
    trials.step()
    trials.lanes.finish([0])
    values = trials.lanes.outcome(instance).hyperparameters["learning_rate"]
    factors = interval_factors("cosine", np.arange(2), np.full(2, 9))
    starts = trials.space.decode(np.array([[0.6], [0.1]]), trials.lanes.initial[0])[:, 0]
    np.testing.assert_allclose(values[:2], starts * factors)
