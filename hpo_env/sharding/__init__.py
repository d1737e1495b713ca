"""One environment whose lanes run in several processes, on one machine or on a Ray cluster.

`make_vector_env` is the way in. `shard.py` is what runs in a worker; `pool.py` says what holds the
workers, `process_pool.py` and `ray_pool.py` do it, and `resilient_pool.py` replaces those that die;
`merging.py` puts the shards' infos together; `sharded_env.py` is the environment in front.
"""

from __future__ import annotations

from hpo_env.sharding.make import Workers, make_vector_env
from hpo_env.sharding.pool import WorkerError
from hpo_env.sharding.sharded_env import ShardedVectorEnv

__all__ = ["ShardedVectorEnv", "WorkerError", "Workers", "make_vector_env"]
