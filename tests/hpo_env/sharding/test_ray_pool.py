"""The same shards as actors on a real Ray cluster of two nodes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from hpo_env.errors import ConfigurationError, MissingExtraError
from hpo_env.sharding import make_vector_env
from hpo_env.sharding.sharded_env import restart_seed
from hpo_env.vector_env import HPOControlVectorEnv
from tests.hpo_env.sharding.comparing import assert_same_results, draw_actions

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed: pip install 'hpo-control[ray]'"
)
FAMILY = "local_level"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = importlib.import_module("ray")
    utils = importlib.import_module("ray.cluster_utils")
    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    cluster = utils.Cluster(initialize_head=True, head_node_args=node)
    cluster.add_node(**(node | {"include_dashboard": None}))
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def on_ray(cluster: Any, num_envs: int, **change: Any) -> Any:
    arguments = {"family": FAMILY, "num_decisions": 4} | change
    return closing(
        make_vector_env(
            num_envs, num_workers=2, workers="ray", ray_address=cluster.address, **arguments
        )
    )


def in_one_process(num_envs: int) -> HPOControlVectorEnv:
    return HPOControlVectorEnv(num_envs, family=FAMILY, num_decisions=4)


@needs_ray
def test_a_run_completes_on_the_same_lanes_although_a_worker_is_killed(cluster: Any) -> None:
    one = in_one_process(4)
    with on_ray(cluster, 4) as many:
        assert_same_results(many.reset(seed=3), one.reset(seed=3))
        replacements: dict[int, HPOControlVectorEnv] = {}
        for k, actions in enumerate(draw_actions(one, 10)):
            expected = one.step(actions)
            if k != 3:
                results = many.step(actions)
            else:
                os.kill(many.worker_pids[1], signal.SIGSTOP)  # so that it dies in mid-step
                many.step_async(actions)
                os.kill(many.worker_pids[1], signal.SIGKILL)
                with pytest.warns(RuntimeWarning, match=r"worker 1 died .*lanes \[1, 3\]"):
                    results = many.step_wait()
                assert results[3].tolist() == [False, True, False, True]
            pairs: list[tuple[Any, Any]] = list(zip(results[:4], expected[:4], strict=True))
            for array, expected_array in pairs:
                assert np.array_equal(array[[0, 2]], expected_array[[0, 2]])
            for lane, alone in replacements.items():
                assert np.array_equal(results[0][lane], alone.step(actions[[lane]])[0][0])
            if k < 3:
                assert_same_results(results, expected)
            elif k == 3:
                for lane in (1, 3):
                    replacements[lane] = in_one_process(1)
                    first, _ = replacements[lane].reset(seed=restart_seed(3 + lane, 1))
                    assert np.array_equal(results[0][lane], first[0])


@needs_ray
def test_the_workers_are_on_both_nodes_and_lanes_fork_between_them(cluster: Any) -> None:
    with on_ray(cluster, 2) as env:
        nodes = [node for node in importlib.import_module("ray").nodes() if node["Alive"]]
        assert [node["Resources"]["CPU"] for node in nodes] == [1.0, 1.0]  # room for one each
        env.reset(seed=0)
        observations = env.fork([0], [1])
        assert np.array_equal(observations[0], observations[1])
        actions = draw_actions(env, 1)[0]
        actions[1] = actions[0]
        observations, rewards, _, _, _ = env.step(actions)
        assert np.array_equal(observations[0], observations[1])
        assert rewards[0] == rewards[1]


@needs_ray
def test_errors_in_an_actor_are_raised_here_as_they_are(cluster: Any) -> None:
    with on_ray(cluster, 2) as env:
        env.reset(seed=0)
        held = env.snapshot()
        with pytest.raises(KeyError, match="tasks") as caught:
            env.restore({"lanes": [{}, {}], "over": held["over"]})
        assert "In a worker:" in caught.value.__notes__[-1]


@needs_ray
def test_a_cluster_that_is_too_small_is_an_error_and_not_a_wait(cluster: Any) -> None:
    with pytest.raises(ConfigurationError, match="has 2 for 3 workers"):
        make_vector_env(
            3, num_workers=3, workers="ray", ray_address=cluster.address, family="quadratic"
        )


def test_without_ray_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hpo-control\[ray\]'"):
        make_vector_env(2, num_workers=2, workers="ray", family="quadratic")
