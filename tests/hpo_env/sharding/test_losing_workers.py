"""What happens when a worker dies or raises: the run goes on, and says so."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from hpo_env.errors import ConfigurationError
from hpo_env.sharding import WorkerError
from hpo_env.sharding.shard import failure
from hpo_env.sharding.sharded_env import ShardedVectorEnv, restart_seed
from hpo_env.vector_env import HPOControlVectorEnv
from tests.hpo_env.sharding import comparing
from tests.hpo_env.sharding.comparing import draw_actions

FAMILY = "local_level"  # which never diverges: a lane ends when its four decisions are over


def sharded(num_envs: int, num_workers: int, **change: Any) -> Any:
    return comparing.sharded(num_envs, num_workers, FAMILY, **change)


def kill(env: ShardedVectorEnv, worker: int) -> None:
    """Kill a worker between two calls."""
    pid = env.worker_pids[worker]
    os.kill(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            time.sleep(0.005)


def kill_in_mid_step(env: ShardedVectorEnv, worker: int, actions: np.ndarray) -> tuple[Any, ...]:
    """Take a step in which a worker gets its actions and dies before it can answer."""
    os.kill(env.worker_pids[worker], signal.SIGSTOP)
    env.step_async(actions)
    os.kill(env.worker_pids[worker], signal.SIGKILL)
    with pytest.warns(RuntimeWarning, match=f"worker {worker} died"):
        return env.step_wait()


def replacement(lane_seed: int, num_restarts: int) -> tuple[HPOControlVectorEnv, np.ndarray]:
    """Make the lane that a lane with this seed has to go on as, and what it shows first."""
    lane = HPOControlVectorEnv(1, family=FAMILY, num_decisions=4)
    observations, _ = lane.reset(seed=restart_seed(lane_seed, num_restarts))
    return lane, observations[0]


def test_the_lanes_of_the_other_workers_notice_nothing() -> None:
    with sharded(4, 0) as one, sharded(4, 2) as many:
        one.reset(seed=0)
        many.reset(seed=0)
        for k, actions in enumerate(draw_actions(one, 10)):
            expected = one.step(actions)
            results = kill_in_mid_step(many, 1, actions) if k == 2 else many.step(actions)
            for array, expected_array in zip(results[:4], expected[:4], strict=True):
                assert np.array_equal(array[[0, 2]], expected_array[[0, 2]])


def test_the_lost_lanes_are_truncated_and_go_on_from_their_seed_and_number_of_restarts() -> None:
    with sharded(4, 2) as env:
        env.reset(seed=[5, 6, 7, 8])
        actions = draw_actions(env, 9)
        shown, _, _, _, info = env.step(actions[0])
        tasks, loss = [task.name for task in env.tasks], info["validation_loss"]
        for restarts in (1, 2):
            results = kill_in_mid_step(env, 1, actions[1])
            observations, rewards, terminated, truncated, info = results
            assert truncated.tolist() == [False, True, False, True]
            assert not terminated[[1, 3]].any()
            assert not rewards[[1, 3]].any()
            assert np.array_equal(info["final_obs"][[1, 3]], shown[[1, 3]])
            assert info["_final_info"].tolist() == truncated.tolist()
            final = info["final_info"]
            assert final["worker_lost"].tolist() == truncated.tolist()
            assert final["validation_loss"][1] == loss[1]
            assert final["task"][[1, 3]].tolist() == [tasks[1], tasks[3]]
            assert not final["diverged"][[1, 3]].any()
            lanes = {1: replacement(6, restarts), 3: replacement(8, restarts)}
            for lane, (_, expected) in lanes.items():
                assert np.array_equal(observations[lane], expected)
            for taken in actions[2:]:
                shown, rewards, _, truncated, info = env.step(taken)
                assert not truncated.any()
                for lane, (alone, _) in lanes.items():
                    again = alone.step(taken[[lane]])
                    assert np.array_equal(shown[lane], again[0][0])
                    assert rewards[lane] == again[1][0]
            tasks, loss = [task.name for task in env.tasks], info["validation_loss"]


def test_next_step_shows_the_replacement_one_step_later() -> None:
    with sharded(2, 2, autoreset_mode="NextStep") as env:
        env.reset(seed=[5, 6])
        actions = draw_actions(env, 4)
        shown = env.step(actions[0])[0]
        observations, _, terminated, truncated, info = kill_in_mid_step(env, 1, actions[1])
        assert truncated.tolist() == [False, True]
        assert np.array_equal(observations[1], shown[1])
        assert info["worker_lost"].tolist() == [False, True]
        lane, first = replacement(6, 1)
        observations, rewards, terminated, truncated, info = env.step(actions[2])
        assert np.array_equal(observations[1], first)
        assert rewards[1] == 0.0
        assert not (terminated | truncated)[1]
        assert "worker_lost" not in info
        assert np.array_equal(env.step(actions[3])[0][1], lane.step(actions[3][[1]])[0][0])


def test_disabled_wants_a_reset_of_the_lost_lanes() -> None:
    with sharded(2, 2, autoreset_mode="Disabled") as env:
        env.reset(seed=0)
        actions = draw_actions(env, 3)
        shown = env.step(actions[0])[0]
        observations, _, _, truncated, _ = kill_in_mid_step(env, 1, actions[1])
        assert truncated.tolist() == [False, True]
        assert np.array_equal(observations[1], shown[1])
        with pytest.raises(ConfigurationError, match=r"lanes \[1\] are over"):
            env.step(actions[2])
        env.reset(seed=[None, 4], options={"reset_mask": truncated})
        lane = HPOControlVectorEnv(1, family=FAMILY, num_decisions=4)
        lane.reset(seed=4)
        assert np.array_equal(env.step(actions[2])[0][1], lane.step(actions[2][[1]])[0][0])


def test_a_death_before_a_reset_costs_nothing() -> None:
    with sharded(2, 0) as one, sharded(2, 2) as many:
        for lost in (0, 1):
            kill(many, lost)
            with pytest.warns(RuntimeWarning, match=f"worker {lost} died .*exit code -9"):
                observations, _ = many.reset(seed=4)
            assert np.array_equal(observations, one.reset(seed=4)[0])
        actions = draw_actions(one, 1)[0]
        results = many.step(actions)
        assert np.array_equal(results[0], one.step(actions)[0])
        assert not results[3].any()


def test_a_death_before_a_snapshot_is_reported_by_the_next_step() -> None:
    with sharded(2, 2) as env:
        env.reset(seed=[5, 6])
        actions = draw_actions(env, 2)
        shown = env.step(actions[0])[0]
        kill(env, 1)
        with pytest.warns(RuntimeWarning, match=r"lanes \[1\] start new episodes"):
            env.snapshot()
        observations, _, _, truncated, info = env.step(actions[1])
        assert truncated.tolist() == [False, True]
        assert np.array_equal(info["final_obs"][1], shown[1])
        assert np.array_equal(observations[1], replacement(6, 1)[1])


def test_a_lost_lane_that_is_restored_is_not_lost() -> None:
    with sharded(4, 0) as one, sharded(4, 2) as env:
        one.reset(seed=5)
        env.reset(seed=5)
        held = env.snapshot([1])
        kill(env, 1)
        with pytest.warns(RuntimeWarning, match=r"lanes \[1, 3\]"):
            env.restore(held, [1])
        actions = draw_actions(env, 1)[0]
        observations, rewards, _, truncated, info = env.step(actions)
        expected = one.step(actions)
        assert truncated.tolist() == [False, False, False, True]
        assert np.array_equal(observations[:3], expected[0][:3])
        assert np.array_equal(rewards[:3], expected[1][:3])
        assert info["_final_obs"].tolist() == truncated.tolist()


def test_a_worker_that_keeps_dying_ends_the_run_with_an_explanation() -> None:
    with sharded(2, 2) as env:
        env.reset(seed=0)
        zero = np.zeros((2, 1), np.float32)
        for _ in range(2):
            kill_in_mid_step(env, 1, zero)
        os.kill(env.worker_pids[1], signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"worker 1 \(lanes \[1\]\) died 3 times"):
            env.step(zero)
        with pytest.raises(ConfigurationError, match="closed"):
            env.step(zero)


def test_a_finished_step_makes_up_for_earlier_deaths() -> None:
    with sharded(2, 2) as env:
        env.reset(seed=0)
        zero = np.zeros((2, 1), np.float32)
        for _ in range(4):
            kill_in_mid_step(env, 1, zero)
            env.step(zero)


def test_an_error_in_a_worker_is_raised_here_and_the_others_stay_in_step() -> None:
    with sharded(2, 2) as env:
        env.reset(seed=0)
        held = env.snapshot()
        broken = [held["lanes"][0], {}]
        with pytest.raises(KeyError, match="tasks") as caught:
            env.restore({"lanes": broken, "over": held["over"]})
        assert "In a worker:" in caught.value.__notes__[-1]
        env.restore(held)
        env.step(np.zeros((2, 1), np.float32))


class _UnpicklableError(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")
        self.held = iter(lambda: one, two)  # packages exist that teach pickle any constructor


def test_an_error_that_cannot_be_sent_keeps_its_name_and_message() -> None:
    error = failure(_UnpicklableError(1, 2)).error
    assert type(error) is RuntimeError
    assert str(error) == "_UnpicklableError: 1 and 2"


def test_an_error_that_can_be_sent_stays_what_it_is() -> None:
    error = failure(ConfigurationError("no")).error
    assert type(error) is ConfigurationError
    assert str(error) == "no"
