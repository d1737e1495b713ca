"""However many workers there are, the environment is the same."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from agents.learners.vec_env import SB3VecEnv
from hpo_env.errors import ActionError, ConfigurationError, UnknownNameError
from hpo_env.sharding import ShardedVectorEnv, make_vector_env
from hpo_env.vector_env import HPOControlVectorEnv
from tests.hpo_env.sharding.comparing import (
    assert_same_info,
    assert_same_results,
    draw_actions,
    sharded,
)

workers = pytest.mark.parametrize("num_workers", [1, 2, 3])
modes = pytest.mark.parametrize("mode", [m.value for m in AutoresetMode])


@pytest.fixture(scope="module")
def supervised_in_two() -> Iterator[ShardedVectorEnv]:
    """One environment for several tests: its workers have much to import."""
    with sharded(4, 2, "supervised") as env:
        yield env


def check_same_lanes(many: ShardedVectorEnv, one: HPOControlVectorEnv) -> None:
    assert_same_results(many.reset(seed=3), one.reset(seed=3))
    assert many.tasks == one.tasks
    for actions in draw_actions(one, 6):
        assert_same_results(many.step(actions), one.step(actions))
        assert many.tasks == one.tasks


def check_replay(env: ShardedVectorEnv) -> None:
    env.reset(seed=9)
    first, *rest = draw_actions(env, 6)
    observations = env.step(first)[0]
    held = pickle.loads(pickle.dumps(env.snapshot()))
    expected = [env.step(actions) for actions in rest]
    assert np.array_equal(env.restore(held), observations)
    for actions, results in zip(rest, expected, strict=True):
        assert_same_results(env.step(actions), results)


def check_fork(env: ShardedVectorEnv) -> None:
    env.reset(seed=9)
    first, *rest = draw_actions(env, 6)
    env.step(first)
    observations = env.fork([0, 0, 3], [1, 2, 0])  # within a worker and across
    assert np.array_equal(observations[1], observations[2])
    assert np.array_equal(observations[0], observations[3])
    for actions in rest:
        actions[2], actions[0] = actions[1], actions[3]
        observations, rewards, terminated, _, _ = env.step(actions)
        for a, b in ((1, 2), (0, 3)):
            assert np.array_equal(observations[a], observations[b])
            assert rewards[a] == rewards[b]
            assert terminated[a] == terminated[b]
            assert env.tasks[a] == env.tasks[b]


@workers
@pytest.mark.parametrize(
    ("family", "action_mode"),
    [("quadratic", "continuous"), ("local_level", "discrete"), ("forecasting", "continuous")],
)
def test_every_lane_is_the_same_lane_to_the_last_bit(
    family: str, action_mode: str, num_workers: int
) -> None:
    with (
        sharded(5, 0, family, action_mode=action_mode) as one,
        sharded(5, num_workers, family, action_mode=action_mode) as many,
    ):
        check_same_lanes(many, one)


def test_so_it_is_with_real_training(supervised_in_two: ShardedVectorEnv) -> None:
    with sharded(4, 0, "supervised") as one:
        check_same_lanes(supervised_in_two, one)


@workers
@modes
def test_lanes_that_end_at_different_times_are_reported_alike(mode: str, num_workers: int) -> None:
    family = HPOControlVectorEnv(1, family="quadratic").family
    rng = np.random.default_rng(0)
    tasks = [family.sample(rng) for _ in range(4)]
    tasks = [type(t)(**vars(t) | {"num_decisions": 1 + i}) for i, t in enumerate(tasks)]
    with (
        sharded(4, 0, autoreset_mode=mode, tasks=tasks) as one,
        sharded(4, num_workers, autoreset_mode=mode, tasks=tasks) as many,
    ):
        assert_same_results(many.reset(seed=3), one.reset(seed=3))
        for actions in draw_actions(one, 7):
            expected = one.step(actions)
            assert_same_results(many.step(actions), expected)
            if mode == "Disabled" and expected[2].any():
                options = {"reset_mask": expected[2]}
                assert_same_results(many.reset(options=options), one.reset(options=options))


@workers
def test_seeds_masks_and_second_resets_mean_the_same(num_workers: int) -> None:
    with sharded(3, 0) as one, sharded(3, num_workers) as many:
        for arguments in (
            {"seed": [4, 9, 2]},
            {},
            {"seed": [None, 5, None]},
            {"options": {"reset_mask": np.array([False, True, False])}},
            {"seed": 8, "options": {"reset_mask": np.array([True, False, True])}},
        ):
            assert_same_results(many.reset(**arguments), one.reset(**arguments))
        actions = draw_actions(one, 1)[0]
        assert_same_results(many.step(actions), one.step(actions))
        assert many.np_random.random() == one.np_random.random()


def test_without_seeds_no_two_resets_are_alike() -> None:
    with sharded(2, 2) as env:
        first, _ = env.reset()
        second, _ = env.reset()
    with sharded(2, 2) as env:
        third, _ = env.reset()
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_the_attributes_are_those_of_the_environment_in_one_process() -> None:
    discrete = {"action_mode": "discrete"}
    with sharded(3, 0, **discrete) as one, sharded(3, 2, **discrete) as many:
        assert isinstance(one, HPOControlVectorEnv)
        assert isinstance(many, ShardedVectorEnv)
        for name in (
            "num_envs",
            "metadata",
            "autoreset_mode",
            "action_mode",
            "base_schedule",
            "observation_docs",
            "observation_space",
            "action_space",
            "single_observation_space",
            "single_action_space",
            "render_mode",
            "tasks_given",
            "tasks",
        ):
            assert getattr(many, name) == getattr(one, name), name
        assert many.space.names == one.space.names
        assert many.controlled.names == one.controlled.names
        assert many.family.name == one.family.name
        assert len(set(many.worker_pids)) == 2


def test_all_workers_run_at_once_between_async_and_wait() -> None:
    with sharded(4, 0) as one, sharded(4, 2) as many:
        one.reset(seed=0)
        many.reset(seed=0)
        actions = draw_actions(one, 1)[0]
        many.step_async(actions)
        assert_same_results(many.step_wait(), one.step(actions))
        with pytest.raises(ConfigurationError, match="step_async"):
            many.step_wait()


def test_results_are_fresh_arrays_at_every_call() -> None:
    with sharded(2, 2) as env:
        observations, info = env.reset(seed=0)
        kept = observations.copy(), info["validation_loss"].copy()
        for actions in draw_actions(env, 5):
            env.step(actions)
        env.reset(options={"reset_mask": np.array([True, False])})
        assert np.array_equal(observations, kept[0])
        assert np.array_equal(info["validation_loss"], kept[1])


def test_stable_baselines_adapter_takes_it_as_it_is() -> None:
    with sharded(3, 0) as one, sharded(3, 2) as many:
        bridges = SB3VecEnv(one), SB3VecEnv(many)
        for bridge in bridges:
            bridge.seed(0)
        expected, observations = (bridge.reset() for bridge in bridges)
        assert np.array_equal(observations, expected)
        for actions in draw_actions(one, 5):
            a, b = (bridge.step(actions) for bridge in bridges)
            pairs: list[tuple[Any, Any]] = list(zip(a[:3], b[:3], strict=True))
            assert all(np.array_equal(x, y) for x, y in pairs)
            assert [sorted(i) for i in a[3]] == [sorted(i) for i in b[3]]


@workers
def test_a_pickled_snapshot_replays_bit_for_bit(num_workers: int) -> None:
    with sharded(4, num_workers) as env:
        check_replay(env)


def test_real_training_replays_bit_for_bit(supervised_in_two: ShardedVectorEnv) -> None:
    check_replay(supervised_in_two)


def test_a_snapshot_fits_any_number_of_workers() -> None:
    with sharded(4, 3) as three, sharded(4, 2) as two:
        three.reset(seed=9)
        two.reset(seed=1)
        actions = draw_actions(two, 2)
        observations = three.step(actions[0])[0]
        assert np.array_equal(two.restore(three.snapshot()), observations)
        assert_same_results(two.step(actions[1]), three.step(actions[1]))


@workers
def test_a_fork_goes_on_as_its_source_does(num_workers: int) -> None:
    with sharded(4, num_workers) as env:
        check_fork(env)


def test_real_training_goes_on_in_a_fork(supervised_in_two: ShardedVectorEnv) -> None:
    check_fork(supervised_in_two)


def test_a_fork_leaves_the_other_lanes_alone() -> None:
    with sharded(4, 0) as one, sharded(4, 2) as many:
        one.reset(seed=9)
        many.reset(seed=9)
        first, *rest = draw_actions(one, 6)
        many.step(first)
        one.step(first)
        many.fork([0], [1])
        for actions in rest:
            expected, results = one.step(actions), many.step(actions)
            for lane in (0, 2, 3):
                assert np.array_equal(results[0][lane], expected[0][lane])
                assert results[1][lane] == expected[1][lane]


def test_pictures_come_in_the_order_of_the_lanes() -> None:
    pytest.importorskip("matplotlib")
    drawn = {"render_mode": "rgb_array"}
    with sharded(3, 0, **drawn) as one, sharded(3, 2, **drawn) as many:
        for env in (one, many):
            env.reset(seed=0)
            env.step(draw_actions(env, 1)[0])
        for picture, expected in zip(many.render(), one.render(), strict=True):
            assert np.array_equal(picture, expected)


def test_without_a_render_mode_there_is_a_warning_and_no_picture() -> None:
    with sharded(1, 1) as env, pytest.warns(UserWarning, match="rgb_array"):
        assert env.render() is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_envs": 0}, ConfigurationError, "num_envs must be at least 1; got 0"),
        ({"num_workers": 3}, ConfigurationError, "from 1 to num_envs=2.*got 3"),
        ({"num_workers": -1}, ConfigurationError, "got -1"),
        ({"num_workers": 0, "workers": "ray"}, ConfigurationError, "got 0"),
        ({"workers": "threads"}, UnknownNameError, "Allowed: process, ray"),
        ({"ray_address": "auto"}, ConfigurationError, "workers='ray'"),
        ({"tasks": []}, ConfigurationError, "one task a lane"),
        ({"family": "quadratics"}, UnknownNameError, "did you mean 'quadratic'"),
        ({"colour": "red"}, ConfigurationError, "colour"),
    ],
)
def test_bad_arguments_are_named_before_a_process_starts(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    usual: dict[str, Any] = {"num_envs": 2, "num_workers": 2, "family": "quadratic"}
    with pytest.raises(error, match=message):
        make_vector_env(**(usual | arguments))


def test_bad_calls_are_named_as_in_one_process() -> None:
    with sharded(2, 2) as env:
        zero = np.zeros((2, 1))
        for call in (lambda: env.step(zero), env.snapshot, lambda: env.restore({})):
            with pytest.raises(ConfigurationError, match=r"reset\(\) must be called before"):
                call()
        with pytest.raises(ConfigurationError, match="first reset"):
            env.reset(options={"reset_mask": np.array([True, False])})
        with pytest.raises(ConfigurationError, match="one seed a lane"):
            env.reset(seed=[1])
        env.reset(seed=0)
        with pytest.raises(ConfigurationError, match="reset_mask"):
            env.reset(options={"reset_mask": np.array([1, 0])})
        with pytest.raises(ActionError, match="finite; got nan for 'learning_rate' in lane 1"):
            env.step(np.array([[0.0], [np.nan]]))
        with pytest.raises(ActionError, match="2 lanes; got 3"):
            env.step(np.zeros((3, 1)))
        with pytest.raises(ConfigurationError, match="n lanes goes into n lanes"):
            env.restore(env.snapshot([0]), [0, 1])
        env.step(zero)
    with pytest.raises(ConfigurationError, match="closed"):
        env.step(zero)


def test_disabled_wants_a_reset_of_the_lanes_that_are_over() -> None:
    with sharded(2, 2, autoreset_mode="Disabled", num_decisions=1) as env:
        env.reset(seed=0)
        env.step(np.zeros((2, 1)))
        with pytest.raises(ConfigurationError, match=r"lanes \[0, 1\] are over"):
            env.step(np.zeros((2, 1)))
        env.reset()
        env.step(np.zeros((2, 1)))


def test_gymnasium_wrappers_find_what_they_need() -> None:
    with sharded(2, 2) as env:
        wrapped = gym.wrappers.vector.RecordEpisodeStatistics(env)
        wrapped.reset(seed=0)
        for _ in range(4):
            _, _, _, _, info = wrapped.step(np.zeros((2, 1), np.float32))
        assert info["_episode"].all()


def test_comparing_infos_notices_a_difference() -> None:
    info = {"loss": np.array([1.0]), "_loss": np.array([True])}
    assert_same_info(info, info)
    with pytest.raises(AssertionError):
        assert_same_info(info | {"loss": np.array([2.0])}, info)
