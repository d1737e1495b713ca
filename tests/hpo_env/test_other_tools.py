"""Agents of other libraries construct the environment, step it and train on it.

A library that is not installed is skipped. Their own warnings are theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import hpo_env

ARGUMENTS: dict[str, Any] = {"family": "quadratic", "action_mode": "joint", "num_decisions": 4}
ROLLOUT = 9  # two episodes, and the step that starts the second in the mode NEXT_STEP

pytestmark = pytest.mark.filterwarnings("ignore")


def make() -> gym.Env[Any, Any]:
    return gym.make(hpo_env.ENV_ID, **ARGUMENTS)


# --- Gymnasium ------------------------------------------------------------------------------------


def test_a_name_with_the_module_needs_no_import() -> None:
    env = gym.make("hpo_env:HPOControl-v0", **ARGUMENTS)
    assert env.reset(seed=0)[0] in env.observation_space
    lanes = gym.make_vec("hpo_env:HPOControl-v0", num_envs=2, **ARGUMENTS)
    assert lanes.reset(seed=0)[0] in lanes.observation_space


# --- CleanRL --------------------------------------------------------------------------------------


def with_statistics() -> gym.Env[Any, Any]:
    return gym.wrappers.RecordEpisodeStatistics(make())


def normalised() -> gym.Env[Any, Any]:
    """Dress the environment as `ppo_continuous_action.py` does."""
    env = gym.make(hpo_env.ENV_ID, **ARGUMENTS | {"action_mode": "continuous"})
    env = gym.wrappers.FlattenObservation(env)
    env = gym.wrappers.ClipAction(gym.wrappers.RecordEpisodeStatistics(env))
    env = gym.wrappers.NormalizeObservation(env)
    env = gym.wrappers.TransformObservation(env, lambda x: x.clip(-10, 10), env.observation_space)
    env = gym.wrappers.NormalizeReward(env, gamma=0.99)
    return gym.wrappers.TransformReward(env, lambda reward: float(np.clip(float(reward), -10, 10)))


@pytest.mark.parametrize(
    ("name", "make_env", "num_envs", "action_space"),
    [
        ("ppo", with_statistics, 4, gym.spaces.Discrete),
        ("dqn", with_statistics, 1, gym.spaces.Discrete),
        ("ppo_continuous_action", normalised, 2, gym.spaces.Box),
    ],
)
@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_the_loops_of_cleanrl_find_what_they_ask_for(
    name: str,
    make_env: Callable[[], gym.Env[Any, Any]],
    num_envs: int,
    action_space: type,
    mode: AutoresetMode,
) -> None:
    envs = gym.vector.SyncVectorEnv([make_env] * num_envs, autoreset_mode=mode)
    assert isinstance(envs.single_action_space, action_space)
    observations, _ = envs.reset(seed=1)
    lengths: list[int] = []
    for _ in range(ROLLOUT):
        following, rewards, _, truncated, infos = envs.step(envs.action_space.sample())
        assert following.dtype == observations.dtype == np.float32
        assert np.isfinite(following).all()
        assert np.isfinite(rewards).all()
        assert not truncated.any()
        if "final_info" in infos:  # what the episode's last step was, beside the next one's first
            lengths += infos["final_info"]["episode"]["l"][infos["_final_info"]].tolist()
            assert len(infos["final_obs"]) == num_envs
        elif "episode" in infos:
            lengths += infos["episode"]["l"][infos["_episode"]].tolist()
    assert lengths == [ARGUMENTS["num_decisions"]] * 2 * num_envs


# --- RLlib ----------------------------------------------------------------------------------------


def test_dqn_of_rllib_trains() -> None:
    pytest.importorskip("ray.rllib", reason="RLlib is not installed", exc_type=ImportError)
    import ray
    from ray.rllib.algorithms.dqn import DQNConfig
    from ray.tune.registry import register_env

    register_env("hpo", lambda arguments: gym.make("hpo_env:HPOControl-v0", **arguments))
    config = (
        DQNConfig()
        .environment("hpo", env_config=ARGUMENTS)
        .env_runners(num_env_runners=0)
        .training(train_batch_size_per_learner=8, num_steps_sampled_before_learning_starts=10)
        .reporting(min_sample_timesteps_per_iteration=20, min_time_s_per_iteration=0)
        .debugging(seed=0)
    )
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        algorithm = config.build_algo()
        found = algorithm.train()["env_runners"]
        algorithm.stop()
    finally:
        ray.shutdown()
    assert np.isfinite(found["episode_return_mean"])
    assert found["num_env_steps_sampled_lifetime"] >= 20
    assert found["episode_len_mean"] == ARGUMENTS["num_decisions"]


# --- TorchRL --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["joint", "continuous"])
def test_torchrl_rolls_out_the_single_environment(mode: str) -> None:
    envs = pytest.importorskip("torchrl.envs", reason="TorchRL is not installed")
    env = envs.GymEnv(hpo_env.ENV_ID, **ARGUMENTS | {"action_mode": mode})
    envs.check_env_specs(env)
    rollout = env.rollout(ROLLOUT, break_when_any_done=False)
    assert rollout["next", "terminated"].sum() == ROLLOUT // ARGUMENTS["num_decisions"]
    assert not rollout["next", "truncated"].any()


def test_torchrl_rolls_out_lanes_that_it_resets_itself() -> None:
    envs = pytest.importorskip("torchrl.envs", reason="TorchRL is not installed")
    lanes = gym.make_vec(hpo_env.ENV_ID, num_envs=3, autoreset_mode="Disabled", **ARGUMENTS)
    env = envs.GymWrapper(lanes)
    envs.check_env_specs(env)
    rollout = env.rollout(ROLLOUT, break_when_any_done=False)
    assert rollout["next", "terminated"].sum() == 3 * (ROLLOUT // ARGUMENTS["num_decisions"])


# --- Tianshou -------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_processes", [0, 2])
def test_dqn_of_tianshou_trains(num_processes: int) -> None:
    tianshou = pytest.importorskip("tianshou", reason="Tianshou is not installed")
    from tianshou.algorithm.modelfree.dqn import DQN, DiscreteQLearningPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Collector, VectorReplayBuffer
    from tianshou.trainer import OffPolicyTrainerParams
    from tianshou.utils.net.common import Net

    env = make()
    actions: Any = env.action_space
    network = Net(
        state_shape=env.observation_space.shape, action_shape=actions.n, hidden_sizes=[16]
    )
    policy = DiscreteQLearningPolicy(
        model=network,
        action_space=env.action_space,
        observation_space=env.observation_space,
        eps_training=0.2,
    )
    agent = DQN(policy=policy, optim=AdamOptimizerFactory(lr=1e-3), target_update_freq=10)
    several = tianshou.env.SubprocVectorEnv if num_processes else tianshou.env.DummyVectorEnv
    training, held_out = several([make] * 2), several([make] * 2)
    collector = Collector(agent, training, VectorReplayBuffer(200, 2), exploration_noise=True)
    found = agent.run_training(
        OffPolicyTrainerParams(
            training_collector=collector,
            test_collector=Collector(agent, held_out),
            max_epochs=1,
            epoch_num_steps=40,
            collection_step_num_env_steps=10,
            update_step_num_gradient_steps_per_sample=0.5,
            batch_size=8,
            test_step_num_episodes=2,
            show_progress=False,
            verbose=False,
        )
    )
    training.close()
    held_out.close()
    assert np.isfinite(found.best_reward)
