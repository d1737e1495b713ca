"""The choice between one process, several, and a Ray cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from hpo_env.errors import ConfigurationError
from hpo_env.sharding.pool import Pool, ShardConfig
from hpo_env.sharding.process_pool import ProcessPool
from hpo_env.sharding.sharded_env import ShardedVectorEnv
from hpo_env.tasks.base import check_choice
from hpo_env.vector_env import HPOControlVectorEnv

Workers = Literal["process", "ray"]


def make_vector_env(
    num_envs: int = 1,
    *,
    num_workers: int = 0,
    workers: Workers = "process",
    ray_address: str | None = None,
    **arguments: Any,
) -> HPOControlVectorEnv | ShardedVectorEnv:
    """Make the environment over N lanes, spread over processes if asked.

    A lane with a seed is the same lane however many workers there are. Workers are started
    afresh and import the main script: a script needs `if __name__ == "__main__":` around its calls.

    Args:
        num_envs: Lanes `N`, at least 1.
        num_workers: Worker processes, at most `N`; 0 runs every lane in this process. The number of
            cores is a good choice, as each worker uses one thread.
        workers: "process" for processes on this machine, "ray" for actors on a Ray cluster.
        ray_address: The cluster to join, such as "auto" or "10.0.0.1:6379"; None joins the one that
            is initialised already, or starts one on this machine.
        **arguments: Those of `HPOControlVectorEnv`. With `engine="auto"` each worker decides for
            its own share of the lanes.

    Returns:
        An `HPOControlVectorEnv`, or a `ShardedVectorEnv` that behaves like one.

    Raises:
        ConfigurationError: The number of workers does not fit, or as for `HPOControlVectorEnv`.
        MissingExtraError: Ray is asked for and not installed.
        WorkerError: The workers cannot be kept alive.

    Example:
        >>> env = make_vector_env(2, num_workers=0, family="quadratic")
        >>> type(env).__name__
        'HPOControlVectorEnv'
    """
    check_choice("kind of workers", workers, Workers)
    if ray_address is not None and workers != "ray":
        raise ConfigurationError(f"ray_address needs workers='ray'; got workers={workers!r}")
    if num_workers == 0 and workers == "process":
        return HPOControlVectorEnv(num_envs, **arguments)

    def make_pool(shards: Sequence[Mapping[str, Any]], config: ShardConfig) -> Pool:
        if workers == "process":
            return ProcessPool(shards, config)
        from hpo_env.sharding.ray_pool import RayPool

        return RayPool(shards, ray_address)

    return ShardedVectorEnv(num_envs, num_workers=num_workers, make_pool=make_pool, **arguments)
