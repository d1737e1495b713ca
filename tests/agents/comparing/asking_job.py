"""A job that asks a worker about itself; workers import it from here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quadratic_opponents import Steady

from agents.comparing.jobs import Job
from agents.comparing.store import Store
from agents.opponents.base import Opponent
from agents.opponents.lanes import Workload


@dataclass(frozen=True, kw_only=True, eq=False)
class AskJob(Job):
    """Asks a worker about itself."""

    @property
    def opponent(self) -> Opponent:
        return Steady(name="nobody")

    @property
    def workload(self) -> Workload:
        return Workload(family="supervised")

    @property
    def num_cells(self) -> int:
        return 0

    def perform(self) -> list[dict[str, Any]]:
        import torch

        from hpo_env.tasks.supervised.native import kernel

        return [
            {
                "pid": os.getpid(),
                "torch": torch.get_num_threads(),
                "kernel": kernel._num_threads,
                "blas": [os.environ[f"{n}_NUM_THREADS"] for n in ("OMP", "MKL", "OPENBLAS")],
            }
        ]

    def save(self, store: Store, results: Sequence[Mapping[str, Any]]) -> None:
        raise NotImplementedError
