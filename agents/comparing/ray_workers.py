"""Jobs as tasks on a Ray cluster; extra `ray`, of which only Ray's core is used.

Every machine of the cluster needs this package installed. Outcomes come back to this machine, which
alone writes files.
"""

from __future__ import annotations

import os
from typing import Any

from hpo_env.errors import ConfigurationError
from hpo_env.sharding.ray_pool import import_ray

from .jobs import Job, Result, attempt_on_one_core
from .workers import Workers


class RayWorkers(Workers):
    """One task with one core a job.

    Args:
        num_workers: Jobs at a time; None takes all cores of the cluster.
        address: The cluster to join; None joins the one that is initialised already, or starts one
            on this machine that ends with the workers.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigurationError: The cluster has fewer cores than there are workers.
    """

    def __init__(self, num_workers: int | None, address: str | None) -> None:
        self._ray = import_ray()
        self._owns_ray = not self._ray.is_initialized()
        if self._owns_ray:
            is_local = address is None and "RAY_ADDRESS" not in os.environ
            cores = {"num_cpus": num_workers} if is_local and num_workers is not None else {}
            self._ray.init(address=address, include_dashboard=False if is_local else None, **cores)
        self._jobs: dict[Any, Job] = {}
        # Not retried by Ray: an opponent that brings its process down would do so again.
        self._attempt = self._ray.remote(num_cpus=1, max_retries=0)(attempt_on_one_core)
        cores_there = int(self._ray.cluster_resources().get("CPU", 0))
        self.capacity = cores_there if num_workers is None else num_workers
        if not 1 <= self.capacity <= cores_there:
            self.close()
            raise ConfigurationError(
                f"each worker needs a core; the Ray cluster has {cores_there} for "
                f"{self.capacity} workers"
            )

    def submit(self, job: Job) -> None:
        """See `Workers.submit`."""
        self._jobs[self._attempt.remote(job)] = job

    def wait(self) -> tuple[Job, Result]:
        """See `Workers.wait`."""
        (reference, *_), _ = self._ray.wait(list(self._jobs), num_returns=1)
        job = self._jobs.pop(reference)
        try:
            result: Result = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return job, Result(
                error=f"its worker died ({type(error).__name__})", details=str(error)
            )
        return job, result

    def close(self) -> None:
        """See `Workers.close`."""
        if not self._ray.is_initialized():
            return
        for reference in self._jobs:
            self._ray.cancel(reference, force=True)
        self._jobs = {}
        if self._owns_ray:
            self._ray.shutdown()
