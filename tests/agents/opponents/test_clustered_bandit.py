from __future__ import annotations

import numpy as np

from agents.opponents.clustered_bandit import (
    EXPLORATION,
    FACTORS,
    WINDOW,
    ClusteredBandit,
    UpperConfidence,
)
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace

SPACE = HyperparameterSpace(
    [
        Hyperparameter(name="rate", low=1e-6, high=1.0, default=1e-3, max_step=4.0),
        Hyperparameter(name="kept", low=0.1, high=10.0, default=1.0, max_step=2.0),
        Hyperparameter(name="size", low=0.1, high=10.0, default=1.0, max_step=2.0),
    ]
)
INITIAL = np.array([1e-3, 1.0, 2.0])


def test_the_choice_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    bandit = UpperConfidence(3)
    worth: list[list[float]] = [[], [], []]
    for trial in range(100):
        total, counts = 1 + trial, np.array([1 + len(w) for w in worth])
        means = np.array([np.mean(w[-WINDOW:]) if w else 0.0 for w in worth])
        expected = int(np.argmax(means + EXPLORATION * np.sqrt(np.log(total) / counts)))
        assert bandit.choose() == expected
        worth[expected].append(float(rng.random()))
        bandit.learn(worth[expected][-1])
    assert min(len(w) for w in worth) > WINDOW  # each was forgotten in part


def test_arms_are_a_step_either_side_and_the_rest_stays() -> None:
    bandit = ClusteredBandit(SPACE, [0, 2], INITIAL, 1.0)
    seen: list[set[float]] = [set(), set(), set()]
    for _ in range(40):
        before = bandit.values.copy()
        values = bandit.choose()
        assert (values != before).sum() <= 1  # a value of one hyperparameter at a time
        for column in range(3):
            seen[column].add(float(values[column].round(9)))
        bandit.learn(1.0)
    assert len(FACTORS) == 3
    assert seen == [{2.5e-4, 1e-3, 4e-3}, {1.0}, {1.0, 2.0, 4.0}]


def test_a_better_arm_is_chosen_more_often() -> None:
    bandit = ClusteredBandit(SPACE, [0], INITIAL, 1.0)
    chosen = []
    for _ in range(60):
        rate = float(bandit.choose()[0])
        chosen.append(rate)
        bandit.learn(1.0 if rate < 3e-3 else 0.2)
    assert np.mean(np.array(chosen[20:]) > 3e-3) > 0.6


def test_losses_that_are_not_finite_are_worth_nothing() -> None:
    bandit = ClusteredBandit(SPACE, [0], INITIAL, float("nan"))
    for loss in (float("nan"), float("inf"), 1.0, float("nan"), 0.5, 1.0):
        values = bandit.choose()
        assert np.isfinite(values).all()
        bandit.learn(loss)
