from __future__ import annotations

import numpy as np

from agents.opponents.base import Setup
from agents.opponents.configurations import Configuration, log_losses
from agents.opponents.portfolio import NUM_CANDIDATES, Portfolio, greedy_order, portfolio
from tests.agents.opponents.policies import steady_policy
from tests.agents.opponents.test_tuned import QUADRATIC, quadratics

POLICY = steady_policy("quadratic", ("learning_rate",))
SETUP = Setup(policy=POLICY, hyperparameters=("learning_rate",), num_runs=3)


def test_the_order_is_that_of_a_hand_worked_case() -> None:
    scores = np.array(
        [
            [1.0, 0.0, 3.0, 9.0],
            [1.0, 4.0, 0.0, 9.0],
            [1.0, 4.0, 4.0, 0.0],
        ]
    )
    # 0 is the best single one (mean 1); with it, 1, 2 and 3 help alike (mean 2/3), and 2 is the
    # best of them on its own; then 1 before 3, for the same reason.
    assert greedy_order(scores) == [0, 2, 1, 3]


def test_what_no_longer_helps_comes_in_the_order_of_its_own_mean() -> None:
    assert greedy_order(np.array([[0.0, 3.0, 2.0, 1.0]])) == [0, 3, 2, 1]


def test_the_list_is_as_long_as_the_budget_and_begins_with_the_best_single_one() -> None:
    opponent = portfolio("portfolio", SETUP)
    assert isinstance(opponent, Portfolio)
    instances = [opponent.canonical(i, QUADRATIC) for i in quadratics(3)]
    listed = opponent.prepare(QUADRATIC, instances)["configurations"]
    candidates = opponent.candidates(QUADRATIC)
    assert len(listed) == 3
    assert len(candidates) == NUM_CANDIDATES
    scores = log_losses(QUADRATIC, instances, candidates)
    assert listed[0] == candidates[int(scores.mean(axis=0).argmin())].to_json()


def test_every_listed_configuration_is_one_trial_and_the_best_is_kept() -> None:
    opponent = portfolio("portfolio", SETUP)
    instances = [opponent.canonical(i, QUADRATIC) for i in quadratics(2)]
    listed = [
        Configuration(schedule="constant", values={"learning_rate": 100.0}),  # diverges at once
        Configuration(schedule="cosine", values={"learning_rate": 0.3}),
        Configuration(schedule="constant", values={}),
        Configuration(schedule="constant", values={"learning_rate": 1e-3}),  # beyond the budget
    ]
    prepared = {"configurations": [configuration.to_json() for configuration in listed]}
    outcomes = opponent.run(QUADRATIC, instances, prepared)
    scores = log_losses(QUADRATIC, instances, listed)
    for outcome, row in zip(outcomes, scores, strict=True):
        assert np.isnan(outcome.trial_validation_loss[0])
        np.testing.assert_allclose(np.log(outcome.trial_validation_loss[1:]), row[1:3])
        assert np.log(outcome.last_loss) == row[:3].min()
        assert outcome.trial_intervals.tolist() == [1, 12, 12]
        spent = outcome.spent_updates // QUADRATIC.updates_per_decision
        assert spent.tolist() == [1, 13, 25], "one trial after the other"


def test_configurations_come_back_from_plain_data() -> None:
    configuration = Configuration(schedule="step", values={"learning_rate": 0.25})
    assert Configuration.from_json(configuration.to_json()) == configuration
