"""Forked children of a process that has used an environment.

OpenMP's threads are not copied by a fork, and a child that asks for them waits for ever; worker
processes of `gymnasium.vector.AsyncVectorEnv` on Linux are such children. With one thread nobody is
asked for, and models this small are no slower. The workers of torch's own `DataLoader` do the same.
"""

from __future__ import annotations

import os
import sys
from functools import cache


@cache
def keep_forks_usable() -> None:
    """Let children that are forked from now on compute with one thread of torch; once a process."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_use_one_thread)


def _use_one_thread() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
