"""Workers as actors on a Ray cluster; extra `ray`, of which only Ray's core is used.

Every machine of the cluster needs this package installed.
"""

from __future__ import annotations

import importlib
import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from hpo_env.errors import ConfigurationError, MissingExtraError
from hpo_env.sharding.pool import Pool, WorkerError, WorkerLostError
from hpo_env.sharding.shard import Outcome, Shard, failure, perform

_START_SECONDS = 300.0  # a replacement may have to wait until a node has a core free


class RayPool(Pool):
    """One actor with one core a shard, spread over the nodes.

    Args:
        shards: For each worker the arguments of its `Shard`.
        address: The cluster to join; None joins the one that is initialised already, or starts one
            on this machine that ends with the pool.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigurationError: The cluster has fewer cores than there are workers.
    """

    def __init__(self, shards: Sequence[Mapping[str, Any]], address: str | None) -> None:
        self._ray = import_ray()
        owns_ray = not self._ray.is_initialized()
        if owns_ray:
            is_local = address is None and "RAY_ADDRESS" not in os.environ
            cores = {"num_cpus": max(os.cpu_count() or 1, len(shards))} if is_local else {}
            self._ray.init(address=address, include_dashboard=False if is_local else None, **cores)
        self._shards = shards
        self._actors: dict[int, Any] = {}
        self._pids: dict[int, int] = {}
        self._calls: dict[int, Any] = {}
        self._starting: set[int] = set()
        self._close = weakref.finalize(self, _end, self._ray, self._actors, owns_ray)
        self._actor = self._ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(_ShardActor)
        available = int(self._ray.cluster_resources().get("CPU", 0))
        if available < len(shards):
            self.close()
            raise ConfigurationError(
                f"each worker needs a core; the Ray cluster has {available} for "
                f"{len(shards)} workers"
            )

    def start(self, worker: int) -> None:
        """Start an actor; see `Pool.start`."""
        if worker in self._actors:  # not dead perhaps, but out of reach
            self._ray.kill(self._actors[worker])
        self._actors[worker] = self._actor.remote(dict(self._shards[worker]))
        self._calls[worker] = self._actors[worker].start.remote()
        self._starting.add(worker)

    def send(self, worker: int, method: str, *arguments: Any) -> None:
        """Call a method of a shard; see `Pool.send`. An actor does its calls in order."""
        self._calls[worker] = self._actors[worker].perform.remote(method, arguments)

    def receive(self, worker: int) -> Any:
        """Wait for an answer; see `Pool.receive`."""
        exceptions = self._ray.exceptions
        timeout = _START_SECONDS if worker in self._starting else None
        try:
            outcome: Outcome = self._ray.get(self._calls[worker], timeout=timeout)
        except exceptions.GetTimeoutError:
            raise WorkerError(
                f"worker {worker} has not started within {_START_SECONDS:.0f} s: "
                "has the Ray cluster a core for it?"
            ) from None
        except (exceptions.RayActorError, exceptions.ObjectLostError) as error:
            how = f"process {self._pids.get(worker, 'unknown')}, {type(error).__name__}"
            raise WorkerLostError(how) from None
        value = outcome.unwrap()
        if worker in self._starting:
            self._starting.discard(worker)
            self._pids[worker] = value
        return value

    def close(self) -> None:
        """End all actors, and Ray if it was started here; see `Pool.close`."""
        self._close()


class _ShardActor:
    """A shard as a Ray actor."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._shard: Shard | None = None

    def start(self) -> Outcome:
        """Build the shard; here and not in the constructor, whose errors Ray takes for a death."""
        import torch

        torch.set_num_threads(1)
        try:
            self._shard = Shard(**self._arguments)
        except Exception as error:  # the caller raises it
            return failure(error)
        return Outcome(value=os.getpid())

    def perform(self, method: str, arguments: Sequence[Any]) -> Outcome:
        assert self._shard is not None
        return perform(self._shard, method, arguments)


def import_ray() -> Any:
    """Import Ray.

    Raises:
        MissingExtraError: It is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtraError(
            f"workers='ray' needs the package 'ray', which cannot be imported ({error}); "
            "install it with: pip install 'hpo-control[ray]'"
        ) from error


def _end(ray: Any, actors: dict[int, Any], owns_ray: bool) -> None:
    if not ray.is_initialized():
        return
    for actor in actors.values():
        ray.kill(actor)
    actors.clear()
    if owns_ray:
        ray.shutdown()
