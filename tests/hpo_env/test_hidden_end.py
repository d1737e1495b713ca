"""Episodes whose end is hidden are told the time of a user's run of unknown length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpo_env.control.clock import Clock
from hpo_env.env import HPOControlEnv
from hpo_env.errors import ConfigurationError
from hpo_env.hidden_end import draw_course, told
from hpo_env.schedules import interval_factors
from hpo_env.sharding import make_vector_env
from hpo_env.vector_env import HPOControlVectorEnv

PROGRESS = 0
"""The first entry of the observation, from -1 to 1."""


def episode(env: Any) -> tuple[list[float], list[float]]:
    """Return what a lane is told of progress in one episode, and its rates where nobody moves."""
    observation, _ = env.reset(seed=3)
    shown, rates, is_over = [float(observation[PROGRESS])], [], False
    while not is_over:
        observation, _, is_over, _, info = env.step(np.zeros(env.action_space.shape))
        shown.append(float(observation[PROGRESS]))
        rates.append(float(info["hyperparameters"]["learning_rate"]))
    return shown, rates


@pytest.mark.parametrize(("course", "plateau"), [(2, 0), (2, 5), (8, 1), (30, 12)])
def test_the_time_is_that_of_a_users_run_whose_end_is_said(course: int, plateau: int) -> None:
    clock, number = Clock(None, course), course + plateau
    times = []
    for interval in range(number):
        if interval == course // 2 + plateau:
            clock.cool_down(course // 2 * 10)
        clock.begin_interval()
        times.append(clock.told)
        clock.num_steps = clock.end
        clock.end_interval()
    assert clock.is_over
    done = told(np.arange(number), np.full(number, number), np.full(number, course))
    np.testing.assert_allclose(times, [(t, course) for t in done.tolist()])


def test_policy_and_schedule_stand_in_the_middle_until_the_end_is_said() -> None:
    env = HPOControlEnv(family="quadratic", num_decisions=20, base_schedule="cosine", hidden_end=1)
    shown, rates = episode(env)
    times = (np.array(shown) + 1.0) / 2.0  # shares of the course
    assert (times[0], times[-1]) == (0.0, 1.0)
    plateau = np.flatnonzero(times == 0.5)
    assert np.array_equal(plateau, np.arange(plateau[0], plateau[-1] + 1))
    assert len(plateau) > 2
    assert plateau[0] == 20 - plateau[-1]  # as many intervals come before it as after it
    course = np.array([2 * plateau[0]])
    first = rates[0] / interval_factors("cosine", np.array([0]), course)
    done = np.rint(times * course)
    factors = [interval_factors("cosine", np.array([t]), course)[0] for t in done]
    np.testing.assert_allclose(rates, first * factors[:-1], rtol=1e-12)


def test_where_no_end_is_hidden_every_number_is_what_it_was() -> None:
    options: dict[str, Any] = {"family": "quadratic", "base_schedule": "cosine"}
    usual = episode(HPOControlEnv(**options, num_decisions=7))
    assert usual == episode(HPOControlEnv(**options, num_decisions=7, hidden_end=0.0))
    assert usual[0] == pytest.approx(np.linspace(-1.0, 1.0, 8))


def test_a_share_of_the_episodes_is_hidden_and_an_end_is_said_in_time() -> None:
    env = HPOControlVectorEnv(400, family="quadratic", num_decisions=20, hidden_end=0.25)
    env.reset(seed=0)
    hidden = env._course < 20
    assert 0.18 < hidden.mean() < 0.32
    left = env._course[hidden] // 2
    assert (left.min(), left.max()) == (2, 9)


@pytest.mark.parametrize("number", [1, 2, 3, 11, 150])
def test_a_course_is_at_most_the_episode_and_is_drawn_alike_from_equal_seeds(number: int) -> None:
    drawn = [draw_course(np.random.default_rng(seed), number) for seed in range(200)]
    assert drawn == [draw_course(np.random.default_rng(seed), number) for seed in range(200)]
    assert set(drawn) <= {1 if number == 1 else n for n in range(number == 1 or 2, number + 1)}
    assert all(course % 2 == 0 for course in drawn if number > 1)
    assert len(set(drawn)) == 1 or number > 3


def test_a_snapshot_keeps_the_course_and_shards_draw_the_same() -> None:
    options: dict[str, Any] = {"family": "quadratic", "num_decisions": 12, "hidden_end": 0.5}
    env = HPOControlVectorEnv(6, **options)
    env.reset(seed=1)
    moves = np.full(env.action_space.shape or (), 0.3)
    for _ in range(5):
        env.step(moves)
    saved = env.snapshot()
    expected = [env.step(moves)[0] for _ in range(9)]  # into the next episodes
    env.restore(saved)
    np.testing.assert_array_equal([env.step(moves)[0] for _ in range(9)], expected)

    sharded = make_vector_env(6, num_workers=2, split="train", **options)
    sharded.reset(seed=1)
    for _ in range(5):
        sharded.step(moves)
    np.testing.assert_array_equal([sharded.step(moves)[0] for _ in range(9)], expected)
    sharded.close()


@pytest.mark.parametrize("given", [-0.1, 1.5, "half"])
def test_a_share_out_of_range_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="hidden_end"):
        HPOControlVectorEnv(2, family="quadratic", hidden_end=given)
