"""Rewards telescope, and divergence is worse than any finish."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpo_env.reward import DIVERGENCE_LOG_RATIO, has_diverged, rewards

NO = np.array([False])
losses = st.floats(1e-6, 1e6)
log_drops = st.floats(-DIVERGENCE_LOG_RATIO, 50.0)


def one(value: float) -> np.ndarray:
    return np.array([value])


@given(st.lists(losses, min_size=2, max_size=30))
def test_an_episodes_rewards_add_up_to_the_log_ratio_of_its_ends(path: list[float]) -> None:
    first = one(path[0])
    total = sum(
        rewards(loss=one(b), previous_loss=one(a), first_loss=first, diverged=NO)[0]
        for a, b in pairwise(path)
    )
    np.testing.assert_allclose(total, np.log(path[0] / path[-1]), atol=1e-6)


@given(losses, st.lists(log_drops, max_size=10), log_drops)
def test_a_diverged_episode_scores_below_every_finished_one(
    first: float, drops: list[float], last_drop: float
) -> None:
    finished = last_drop  # what any finished episode of the same task may add up to
    path = [first, *(first * np.exp(-d) for d in drops)]
    diverged = sum(
        rewards(loss=one(b), previous_loss=one(a), first_loss=one(first), diverged=NO)[0]
        for a, b in pairwise(path)
    )
    diverged += rewards(
        loss=one(np.nan), previous_loss=one(path[-1]), first_loss=one(first), diverged=~NO
    )[0]
    assert diverged < finished


def test_losses_that_are_not_finite_or_far_above_the_first_have_diverged() -> None:
    loss = np.array([np.nan, np.inf, 60.0, 50.0, 0.1])
    assert has_diverged(loss, np.ones(5)).tolist() == [True, True, True, False, False]
