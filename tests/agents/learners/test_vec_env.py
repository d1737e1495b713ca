from __future__ import annotations

import numpy as np
import pytest

from agents.learners.actions import JointActions
from agents.learners.vec_env import SB3VecEnv, unwrap
from hpo_env.errors import ConfigurationError
from hpo_env.lanes_env import ActionMode
from hpo_env.vector_env import HPOControlVectorEnv

NUM_LANES, NUM_DECISIONS = 3, 4


def make(action_mode: ActionMode = "continuous") -> SB3VecEnv:
    lanes = HPOControlVectorEnv(
        NUM_LANES, family="quadratic", num_decisions=NUM_DECISIONS, action_mode=action_mode
    )
    return SB3VecEnv(lanes)


def nothing(venv: SB3VecEnv) -> np.ndarray:
    return np.zeros((venv.num_envs, *(venv.action_space.shape or ())), np.float32)


def test_lanes_that_do_not_reset_themselves_in_the_same_step_are_refused() -> None:
    lanes = HPOControlVectorEnv(2, family="quadratic", autoreset_mode="NextStep")
    with pytest.raises(ConfigurationError, match=r"SameStep.*NextStep"):
        SB3VecEnv(lanes)


def test_steps_are_those_of_the_lanes_with_the_same_seed() -> None:
    venv, lanes = make(), make().lanes
    venv.seed(5)
    first, _ = lanes.reset(seed=5)
    assert np.array_equal(venv.reset(), first)
    for _ in range(2 * NUM_DECISIONS):
        observations, rewards, dones, _ = venv.step(nothing(venv))
        expected = lanes.step(nothing(venv))
        assert isinstance(observations, np.ndarray)
        assert np.array_equal(observations, expected[0])
        assert np.array_equal(rewards, expected[1].astype(np.float32))
        assert np.array_equal(dones, expected[2])


def test_a_seed_is_used_once() -> None:
    venv = make()
    venv.seed(5)
    first = venv.reset()
    again = venv.reset()
    venv.seed(5)
    assert not np.array_equal(first, again)
    assert np.array_equal(first, venv.reset())


def test_ended_lanes_and_no_others_carry_their_terminal_observation() -> None:
    venv, lanes = make(), make().lanes
    venv.seed(5)
    venv.reset()
    lanes.reset(seed=5)
    for step in range(1, NUM_DECISIONS + 1):
        observations, _, dones, infos = venv.step(nothing(venv))
        expected_info = lanes.step(nothing(venv))[4]
        assert dones.all() == (step == NUM_DECISIONS)
        for lane, info in enumerate(infos):
            if not dones[lane]:
                assert info == {}
                continue
            terminal = info["terminal_observation"]
            assert np.array_equal(terminal, expected_info["final_obs"][lane])
            assert isinstance(observations, np.ndarray)
            assert not np.array_equal(terminal, observations[lane])
            assert info["TimeLimit.truncated"] is False


def test_rewards_may_be_written_to_as_ppo_does() -> None:
    venv = make()
    venv.seed(5)
    venv.reset()
    _, rewards, _, _ = venv.step(nothing(venv))
    assert venv.last is not None
    before = venv.last.returns.copy()
    rewards += 100.0
    assert np.array_equal(venv.last.returns, before)
    _, others, _, _ = venv.step(nothing(venv))
    assert not np.shares_memory(rewards, others)


def test_returns_and_lengths_add_up_over_an_episode_and_start_anew() -> None:
    venv = make()
    venv.seed(5)
    venv.reset()
    rewards = []
    for _ in range(NUM_DECISIONS):
        rewards.append(venv.step(nothing(venv))[1])
    assert venv.last is not None
    assert venv.last.ended.all()
    assert venv.last.returns == pytest.approx(np.sum(rewards, axis=0), abs=1e-6)
    assert venv.last.lengths.tolist() == [NUM_DECISIONS] * NUM_LANES
    assert venv.last.tasks is not None
    reward = venv.step(nothing(venv))[1]
    assert venv.last.returns == pytest.approx(reward, abs=1e-6)
    assert venv.last.lengths.tolist() == [1] * NUM_LANES


def test_last_step_shows_progress_moves_and_effective_values() -> None:
    venv = make("discrete")
    venv.seed(5)
    venv.reset()
    for step in range(NUM_DECISIONS):
        venv.step(np.full((NUM_LANES, 1), 0))
        assert venv.last is not None
        assert venv.last.progress == pytest.approx([step / NUM_DECISIONS] * NUM_LANES)
        assert venv.last.moves.tolist() == [[-1.0]] * NUM_LANES
        initial = np.array([task.initial for task in venv.lanes.tasks])
        if step == 0:
            assert venv.last.values == pytest.approx(np.maximum(initial / 100.0, 1e-6))
        if venv.last.ended.any():
            return


def test_attributes_and_methods_are_those_of_the_lanes() -> None:
    venv = make()
    assert venv.get_attr("base_schedule") == ["constant"] * NUM_LANES
    assert venv.get_attr("num_envs", indices=[1]) == [NUM_LANES]
    venv.set_attr("label", "x")
    assert venv.get_attr("label", indices=0) == ["x"]
    with pytest.raises(NotImplementedError, match="one object"):
        venv.set_attr("label", "y", indices=[0])
    assert venv.env_is_wrapped(object) == [False] * NUM_LANES  # type: ignore[arg-type]
    venv.seed(1)
    venv.reset()
    assert len(venv.env_method("snapshot")) == NUM_LANES
    venv.close()


def test_frames_are_one_a_lane() -> None:
    lanes = HPOControlVectorEnv(2, family="quadratic", num_decisions=3, render_mode="rgb_array")
    venv = SB3VecEnv(lanes)
    venv.seed(0)
    venv.reset()
    frames = venv.get_images()
    assert len(frames) == 2
    assert frames[0] is not None
    assert frames[0].shape[2] == 3


def test_joint_choices_act_like_their_parts() -> None:
    lanes = HPOControlVectorEnv(
        25,
        family="supervised",
        engine="eager",
        dataset="breast_cancer",
        model="mlp_32x2_relu",
        updates_per_decision=1,
        num_decisions=2,
        action_mode="discrete",
        hyperparameters=("learning_rate", "weight_decay"),
    )
    venv = JointActions(SB3VecEnv(lanes))
    assert venv.action_space.n == 25  # type: ignore[attr-defined]
    venv.seed(0)
    venv.reset()
    venv.step(np.arange(25))
    last = unwrap(venv).last
    assert last is not None
    pairs = {tuple(move) for move in last.moves}
    assert len(pairs) == 25
    assert last.moves[7].tolist() == [-0.5, 0.0]


def test_continuous_actions_have_no_joint_choices() -> None:
    with pytest.raises(ConfigurationError, match="action_mode='discrete'"):
        JointActions(make())


def test_too_many_joint_choices_are_refused_with_a_way_out() -> None:
    lanes = HPOControlVectorEnv(
        1, family="supervised", engine="eager", action_mode="discrete", hyperparameters="all"
    )
    with pytest.raises(ConfigurationError, match=r"625.*fewer hyperparameters.*'ppo'"):
        JointActions(SB3VecEnv(lanes))
