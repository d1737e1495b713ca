"""The same jobs as tasks on a real Ray, on this machine."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import quadratic_opponents
from quadratic_opponents import Broken, Deadly, Steady

from agents.comparing.jobs import Result, attempt, make_jobs
from agents.comparing.ray_workers import RayWorkers
from agents.comparing.store import Store
from hpo_env.errors import ConfigurationError, MissingExtraError
from tests.agents.comparing.conftest import MakeMatrix
from tests.agents.comparing.test_jobs import without_seconds

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed: pip install 'hpo-control[ray]'"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = importlib.import_module("ray")
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20)
    ray.cloudpickle.register_pickle_by_value(quadratic_opponents)  # workers have another path
    yield ray
    ray.cloudpickle.unregister_pickle_by_value(quadratic_opponents)
    ray.shutdown()


@needs_ray
def test_jobs_come_out_as_they_do_here_whoever_dies_beside_them(
    cluster: Any, make_matrix: MakeMatrix, tmp_path: Path
) -> None:
    opponents = [Steady(name="a"), Deadly(name="deadly"), Broken(name="broken")]
    matrix = make_matrix(opponents)
    jobs = make_jobs(matrix, matrix.cells, Store(tmp_path))
    with closing(RayWorkers(2, None)) as workers:
        for job in jobs:
            workers.submit(job)
        results: dict[str, Result] = {}
        for _ in jobs:
            job, result = workers.wait()
            results[job.opponent.name] = result
    here = attempt(jobs[0])
    assert here.values is not None
    assert results["a"].values is not None
    assert [*map(without_seconds, results["a"].values)] == [*map(without_seconds, here.values)]
    assert results["deadly"].error == "its worker died (WorkerCrashedError)"
    assert results["broken"].error == "ValueError: no such luck"
    assert cluster.is_initialized()  # it was there before, and stays


@needs_ray
def test_all_cores_are_taken_and_no_more(cluster: Any) -> None:
    with closing(RayWorkers(None, None)) as workers:
        assert workers.capacity == 2
    with pytest.raises(ConfigurationError, match="has 2 for 3 workers"):
        RayWorkers(3, None)


def test_without_ray_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hpo-control\[ray\]'"):
        RayWorkers(2, None)
