from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agents.comparing.records import record
from agents.opponents.base import Instance
from agents.opponents.lanes import Workload
from agents.statistics.incumbent import incumbents, row_log_loss
from hpo_env.tasks.base import Task
from tests.agents.statistics.tables import row


def test_the_incumbent_has_the_lowest_validation_loss_so_far_and_of_equals_the_first() -> None:
    losses = np.array([0.5, 0.7, 0.4, 0.4, 0.1])
    assert incumbents(losses, np.full(5, 4), 4).tolist() == [0, 0, 2, 2, 4]


def test_a_complete_trial_stands_before_a_better_one_that_was_stopped() -> None:
    losses = np.array([0.3, 0.1, 0.9, 0.2])
    assert incumbents(losses, np.array([2, 1, 4, 1]), 4).tolist() == [0, 1, 2, 2]


def test_a_stopped_trial_stands_before_a_diverged_one() -> None:
    losses = np.array([np.nan, np.nan, 5.0])
    assert incumbents(losses, np.array([4, 2, 1]), 4)[-1] == 2


def test_a_divergence_counts_as_the_first_loss_times_e_to_the_5() -> None:
    losses = row_log_loss(
        np.array([np.nan, np.inf, 1.0, 1e9]), pd.Series(row("x", [(1.0, 1.0)], first_loss=2.0))
    )
    np.testing.assert_allclose(losses, [np.log(2) + 5, np.log(2) + 5, 0.0, np.log(2) + 5])


def test_the_last_incumbent_is_what_the_lanes_return() -> None:
    workload = Workload(family="quadratic", engine="eager")
    task = _task(workload)
    instance = Instance(task=task, seed=0)
    lanes = workload.open([instance] * 6)
    rates = np.array([1e-3, 1e-2, 0.05, 0.1, 0.2, 99.0])
    values = lanes.initial
    values[:, 0] = rates
    lanes.advance(values)
    lanes.finish([3])  # stopped early
    while not lanes.is_over.all():
        lanes.advance(values)
    lanes.finish([5, 0, 1, 2, 4])
    outcome = lanes.outcome(instance)
    best = incumbents(
        outcome.trial_validation_loss, outcome.trial_intervals, len(outcome.validation_loss)
    )[-1]
    assert outcome.trial_validation_loss[best] == outcome.last_loss
    found = record("search", "s", instance, outcome, start=0.1)
    at_test = row_log_loss(outcome.trial_test_loss[best : best + 1], pd.Series(found))
    assert at_test == pytest.approx(found["log_test_loss"])


def _task(workload: Workload) -> Task:
    from agents.opponents.drawing import make_tasks
    from hpo_env.tasks.registry import make_family

    return make_tasks(make_family(workload.family), 1, 0)[0]
