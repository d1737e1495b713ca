"""A policy sees and does in a user's own game what it saw and did in the environment."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from hpo_env.control.run import Run
from hpo_env.controller import Controller, ControllerWarning
from hpo_env.env import HPOControlEnv
from hpo_env.policy import Policy
from hpo_env.seeding import draw_episode_seed
from hpo_env.testing.policies import linear_policy
from tests.awkward.family import AwkwardFamily, AwkwardTask
from tests.awkward.player import play
from tests.awkward.small import Awkward

SEED, NUM_DECISIONS = 3, 8
FAMILY = AwkwardFamily(num_decisions=NUM_DECISIONS)


def task(number: int, width: float) -> AwkwardTask:
    return replace(FAMILY.sample(np.random.default_rng(number)), initial=(4.0, width))


def policy(names: tuple[str, ...]) -> Policy:
    """One that is firm about little, so that its moves are small and vary."""
    made = linear_policy(Awkward.family, names, base_schedule="constant")
    return replace(made, weights=tuple(0.02 * w for w in made.weights))


def in_the_environment(acting: Policy, given: AwkwardTask) -> list[dict[str, float]]:
    env = HPOControlEnv(
        family=Awkward.family,
        hyperparameters=acting.space.names,
        base_schedule=acting.base_schedule,
        tasks=[given],
    )
    observation, _ = env.reset(seed=SEED)
    values, over = [], False
    while not over:
        observation, _, over, _, info = env.step(acting.act(observation[None])[0])
        values.append({name: info["hyperparameters"][name] for name in acting.space.names})
    return values


def in_the_players_loop(acting: Policy, given: AwkwardTask) -> Run:
    seed = draw_episode_seed(np.random.default_rng(SEED))  # with given tasks, a lane's first draw
    return play(Controller(acting), given, seed, rounds=FAMILY.updates_per_decision)


@pytest.mark.parametrize("names", [("width",), ("tries", "width")])
@pytest.mark.parametrize("number", range(4))
def test_a_players_hyperparameters_are_those_of_the_environment(
    names: tuple[str, ...], number: int
) -> None:
    acting, given = policy(names), task(number, width=0.3)
    run = in_the_players_loop(acting, given)
    assert len(run.decisions) == NUM_DECISIONS
    assert {decision.reason for decision in run.decisions} == {"policy"}
    for decision, values in zip(run.decisions, in_the_environment(acting, given), strict=True):
        assert decision.values == pytest.approx(values, rel=1e-9)
    assert len({decision.values["width"] for decision in run.decisions}) > 2


@pytest.mark.parametrize("number", range(4))
def test_intervals_that_fail_count_and_are_followed_by_a_retreat(number: int) -> None:
    acting = policy(("tries", "width"))
    given = replace(task(number, width=8.0), distance=0.3)
    with warnings.catch_warnings():  # one for each interval that fails
        warnings.simplefilter("ignore", ControllerWarning)
        run = in_the_players_loop(acting, given)
    assert any(decision.reason == "guard" for decision in run.decisions)
    for decision, values in zip(run.decisions, in_the_environment(acting, given), strict=True):
        assert decision.values == pytest.approx(values, rel=1e-9)
