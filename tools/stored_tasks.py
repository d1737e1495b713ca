"""Trains tasks of meta-training from a dozen starts, and stores the table beside a policy.

    OMP_NUM_THREADS=1 python tools/stored_tasks.py hpo_env/zoo/supervised  # a minute

A memory explores by it (`hpo_env.control.stored_tasks`). The tasks are of the training side, under
users' learning rates of 1e-4, 1e-3, 1e-2 and 1e-1 in turn; everything follows from the seed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from agents.opponents.base import Instance
from agents.opponents.lanes import Workload
from agents.opponents.matched_start import MatchedStart
from benchmarks.repeated_runs import as_users_begin
from hpo_env.control.stored_tasks import write_stored_tasks
from hpo_env.policy_file import load
from hpo_env.seeding import stream
from hpo_env.tasks.registry import make_family

_FIRST_SEED = 1000


def main(policy: Annotated[Path, tyro.conf.Positional], *, tasks: int = 96, seed: int = 7) -> None:
    """Make the table of a policy.

    Args:
        policy: Its folder, into which the table is written.
        tasks: How many are stored.
        seed: From which they are drawn.
    """
    steering = load(policy)
    family = make_family(steering.family, split="train")
    drawn = as_users_begin(family, tasks, stream(seed, "stored", "train"))
    instances = [Instance(task=task, seed=_FIRST_SEED + k) for k, task in enumerate(drawn)]
    opponent = MatchedStart(name="stored tasks", policy=steering)
    table = opponent.stored(Workload(family=steering.family), instances)
    path = write_stored_tasks(table, policy)
    print(f"{path}: {tasks} tasks, {len(table.starts)} starts, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    tyro.cli(main)
