"""What the environment accepts and refuses; `test_families` has what it does, for every family."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from hpo_env.errors import ActionError, ConfigurationError, UnknownNameError
from hpo_env.vector_env import HPOControlVectorEnv


def test_gymnasium_makes_the_vector_environment_itself() -> None:
    env = gym.make_vec("HPOControl-v0", num_envs=2, family="quadratic")
    assert isinstance(env.unwrapped, HPOControlVectorEnv)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_envs": 0}, ConfigurationError, "num_envs must be at least 1; got 0"),
        ({"family": "quadratics"}, UnknownNameError, "did you mean 'quadratic'"),
        ({"split": "tset"}, UnknownNameError, "did you mean 'test'"),
        ({"hyperparameters": ["learning_rat"]}, UnknownNameError, "did you mean 'learning_rate'"),
        ({"action_mode": "discret"}, UnknownNameError, "did you mean 'discrete'"),
        ({"base_schedule": "cosinus"}, UnknownNameError, "did you mean 'cosine'"),
        ({"engine": "eagre"}, UnknownNameError, "did you mean 'eager'"),
        ({"engine": "compiled"}, ConfigurationError, "'auto' or 'eager'"),
        ({"autoreset_mode": "Never"}, ConfigurationError, "'SameStep'"),
        ({"render_mode": "human"}, ConfigurationError, "'rgb_array'"),
        ({"num_decisions": 0}, ConfigurationError, "positive"),
        ({"tasks": []}, ConfigurationError, "one task a lane"),
        ({"colour": "red"}, ConfigurationError, "colour"),
    ],
)
def test_bad_arguments_are_named_with_what_is_allowed(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    usual: dict[str, Any] = {"num_envs": 1, "family": "quadratic"}
    with pytest.raises(error, match=message):
        HPOControlVectorEnv(**(usual | arguments))


def test_bad_calls_are_named() -> None:
    env = HPOControlVectorEnv(2, family="quadratic")
    with pytest.raises(ConfigurationError, match="before step"):
        env.step(np.zeros((2, 1)))
    with pytest.raises(ConfigurationError, match="first reset"):
        env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ConfigurationError, match="one seed a lane"):
        env.reset(seed=[1])
    env.reset(seed=[1, None])
    with pytest.raises(ConfigurationError, match="reset_mask"):
        env.reset(options={"reset_mask": np.array([1, 0])})
    for any_env in (env, gym.make("HPOControl-v0", family="quadratic")):
        with pytest.raises(UnknownNameError, match="option of reset 'task': did you mean 'tasks'"):
            any_env.reset(options={"task": None})
    with pytest.raises(ActionError, match="finite"):
        env.step(np.array([[0.0], [np.nan]]))


def test_a_list_of_seeds_seeds_each_lane_on_its_own() -> None:
    pair, swapped = (HPOControlVectorEnv(2, family="quadratic") for _ in range(2))
    a, _ = pair.reset(seed=[3, 8])
    b, _ = swapped.reset(seed=[8, 3])
    assert np.array_equal(a, b[::-1])


def test_all_hyperparameters_can_be_asked_for() -> None:
    env = HPOControlVectorEnv(1, family="supervised", hyperparameters="all", engine="eager")
    assert env.controlled.names == env.space.names
    alone = HPOControlVectorEnv(1, family="supervised", hyperparameters="momentum", engine="eager")
    assert alone.controlled.names == ("momentum",)


def test_without_a_render_mode_there_is_a_warning_and_no_picture() -> None:
    env = HPOControlVectorEnv(1, family="quadratic")
    with pytest.warns(UserWarning, match="rgb_array"):
        assert env.render() is None
