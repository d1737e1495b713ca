"""What the fork server imports once, so that no worker has to: torch, and the environment.

Nothing here may start a thread: it would be missing in the workers, its locks held for ever. That
leaves out the packages that data sets come from, as they bring pyarrow, which starts one.
"""

from __future__ import annotations

import gc

import torch

import hpo_env.sharding.shard
import hpo_env.tasks.supervised.family

__all__ = ["hpo_env", "torch"]

gc.freeze()  # the collector would write to every page and so copy them into each worker
