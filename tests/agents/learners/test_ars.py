"""Augmented random search: steps by hand, and what it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.config import TrainConfig
from agents.factory import make_env, make_learner
from agents.learners.ars import AugmentedRandomSearch
from agents.learners.settings import ARSSettings
from agents.meta_training import meta_train
from agents.run_folder import RunFolder
from agents.testing.learners import Onlooker
from agents.validation import validate_policy
from hpo_env.errors import ConfigurationError


def make(num_envs: int = 4, **settings: float) -> AugmentedRandomSearch:
    config = TrainConfig(family="quadratic", agent="ars", num_envs=num_envs, num_decisions=3)
    env = make_env(config.resolved(), split="train", num_envs=num_envs)
    return AugmentedRandomSearch(ARSSettings(**settings), env, seed=0, total_steps=10_000)


def test_a_step_is_the_gain_weighted_mean_of_the_best_directions() -> None:
    learner = make()
    directions = np.zeros((3, *learner.state()["weights"].shape))
    for k in range(3):
        directions[k, 0, k] = 1.0
    # Best returns of the pairs: 5, 1, 3, so that half of three, rounded to two, are 0 and 2.
    forwards, backwards = np.array([5.0, 1.0, -1.0]), np.array([1.0, 0.0, 3.0])
    step = learner._step(directions, forwards, backwards)
    # Gains 4 and -4; the returns lie 2 off the mean of their pair.
    assert step[0, :3] == pytest.approx([4.0 / (2 * 2), 0.0, -4.0 / (2 * 2)])


def test_pairs_that_earn_the_same_leave_the_weights_alone() -> None:
    learner = make()
    directions = np.ones((2, *learner.state()["weights"].shape))
    equal = np.array([1.0, 2.0])
    assert (learner._step(directions, equal, equal) == 0.0).all()


def test_both_lanes_of_a_pair_run_the_same_task() -> None:
    learner = make(num_envs=6)
    learner.seed(1)
    learner.learn(6, Onlooker())  # one step: the episodes have not ended
    tasks = learner._lanes.env.tasks
    assert tasks[0::2] == tasks[1::2]
    assert len({task.curvature for task in tasks}) == 3  # type: ignore[attr-defined]


def test_an_untrained_search_does_nothing() -> None:
    learner = make()
    num_fields = len(learner._lanes.env.observation_docs)
    moves, _ = learner.moves(np.ones((2, num_fields), np.float32), None, np.ones(2, dtype=bool))
    assert (moves == 0.0).all()


def test_an_odd_number_of_lanes_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="num_envs must be even; got 5"):
        TrainConfig(agent="ars", num_envs=5).resolved()


def test_it_learns_the_quadratic(tmp_path: Path) -> None:
    config = TrainConfig(
        family="quadratic",
        agent="ars",
        steps=20_000,
        segment_steps=20_000,
        num_envs=32,
        validation_lanes=64,
        run_dir=tmp_path,
        progress="quiet",
    ).resolved()
    env = make_env(config, split="validation", num_envs=64)
    idle = validate_policy(make_learner(config, env), env)
    (learned,) = RunFolder(meta_train(config)).read_progress()
    assert learned["score"] > idle.score + 3.0
