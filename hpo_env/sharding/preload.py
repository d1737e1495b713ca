"""What the fork server imports once, so that no worker has to: torch, environment, families.

Nothing here may start a thread: it would be missing in the workers, its locks held for ever. That
leaves out the packages that data sets come from, as they bring pyarrow, which starts one.
"""

from __future__ import annotations

import gc
from importlib import import_module

import torch

import hpo_env.sharding.shard
from hpo_env.tasks.registry import FAMILIES

__all__ = ["hpo_env", "torch"]

for address in FAMILIES.values():
    import_module(address.partition(":")[0])
gc.freeze()  # the collector would write to every page and so copy them into each worker
