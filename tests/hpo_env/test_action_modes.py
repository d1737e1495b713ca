"""Joint choices are the discrete ones in one number, for agents that know `Discrete` alone."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import DQN
from stable_baselines3.common.env_checker import check_env as check_with_stable_baselines

from hpo_env.env import HPOControlEnv
from hpo_env.errors import ActionError, ConfigurationError
from hpo_env.hyperparameters import split_joint_choices
from hpo_env.sharding import make_vector_env
from hpo_env.tasks.registry import FAMILIES
from hpo_env.vector_env import HPOControlVectorEnv

TWO: dict[str, Any] = {
    "hyperparameters": ["learning_rate", "momentum"],
    "dataset": "digits",
    "engine": "eager",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_one_hyperparameter_of_any_family_is_five_choices(family: str) -> None:
    (name, *_) = HPOControlEnv(family=family).lanes.space.names
    env = HPOControlEnv(family=family, hyperparameters=name, action_mode="joint", num_decisions=4)
    assert env.action_space == gym.spaces.Discrete(5)
    check_env(env, skip_render_check=True)
    check_with_stable_baselines(env, warn=True)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_joint_choices_do_what_the_choices_do_that_they_stand_for(num_workers: int) -> None:
    arguments: dict[str, Any] = {**TWO, "num_decisions": 3}
    joint = make_vector_env(3, num_workers=num_workers, action_mode="joint", **arguments)
    each = HPOControlVectorEnv(3, action_mode="discrete", **arguments)
    try:
        assert joint.action_space == gym.spaces.MultiDiscrete([25] * 3)
        assert np.array_equal(joint.reset(seed=0)[0], each.reset(seed=0)[0])
        for choices in ([0, 7, 24], [3, 12, 20], [24, 24, 0], [1, 2, 3]):
            got = joint.step(np.array(choices))
            expected = each.step(split_joint_choices(np.array(choices), 2))
            pairs: list[tuple[Any, Any]] = list(zip(got[:4], expected[:4], strict=True))
            for one, other in pairs:
                assert np.array_equal(one, other)
    finally:
        joint.close()


def test_nothing_is_done_by_the_middle_choice() -> None:
    env = HPOControlEnv(family="quadratic", action_mode="joint", base_schedule="constant")
    _, before = env.reset(seed=0)
    _, _, _, _, after = env.step(2)
    assert after["hyperparameters"] == before["hyperparameters"]


@pytest.mark.parametrize(
    "actions",
    [[0, 1], [[0], [1], [2]], [0, 1, 25], [-1, 0, 0], [0.0, 1.0, 2.0], 3, ["a", "b", "c"]],
)
def test_what_is_no_joint_choice_is_refused(actions: Any) -> None:
    env = HPOControlVectorEnv(3, action_mode="joint", **TWO)
    env.reset(seed=0)
    with pytest.raises(ActionError):
        env.step(np.array(actions))


def test_too_many_joint_choices_are_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match=r"78125 joint choices.*action_mode='discrete'"):
        HPOControlEnv(hyperparameters="all", action_mode="joint")


def test_discrete_stays_one_choice_for_each_hyperparameter() -> None:
    env = HPOControlEnv(family="quadratic", action_mode="discrete")
    assert env.action_space == gym.spaces.MultiDiscrete([5])


def test_a_loop_of_cleanrl_finds_what_it_asks_for() -> None:
    def make() -> gym.Env[Any, Any]:
        env = gym.make("HPOControl-v0", family="quadratic", action_mode="joint", num_decisions=3)
        return gym.wrappers.RecordEpisodeStatistics(env)

    envs = gym.vector.SyncVectorEnv([make] * 2, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    assert isinstance(envs.single_action_space, gym.spaces.Discrete)
    envs.reset(seed=1)
    for _ in range(3):
        observations, _, terminated, _, infos = envs.step(envs.action_space.sample())
    assert terminated.all()
    assert infos["final_info"]["episode"]["l"].tolist() == [3, 3]
    assert envs.observation_space.contains(observations)


def mean_return(env: gym.Env[Any, Any], agent: DQN | None) -> float:
    total = 0.0
    for seed in range(50):
        observation, _ = env.reset(seed=seed)
        over = False
        while not over:
            action = 2 if agent is None else agent.predict(observation, deterministic=True)[0]
            observation, reward, over, _, _ = env.step(action)
            total += float(reward)
    return total / 50


def test_dqn_of_stable_baselines_learns_the_quadratic() -> None:
    arguments: dict[str, Any] = {"family": "quadratic", "action_mode": "joint", "num_decisions": 10}
    agent = DQN(
        "MlpPolicy",
        gym.make("HPOControl-v0", **arguments),
        seed=0,
        learning_starts=500,
        gradient_steps=2,
        buffer_size=20_000,
        exploration_fraction=0.5,
        target_update_interval=250,
        gamma=1.0,
        learning_rate=1e-3,
        policy_kwargs={"net_arch": [64]},
    )
    agent.learn(3_000)
    held_out = gym.make("HPOControl-v0", split="test", **arguments)
    assert mean_return(held_out, agent) > mean_return(held_out, None) + 1.5
