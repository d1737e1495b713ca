"""What holds the workers: starts them, talks to them, notices when one dies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo_env.errors import HPOControlError


class WorkerError(HPOControlError, RuntimeError):
    """Workers that die faster than they can be replaced."""


class WorkerLostError(Exception):
    """A worker that died; the environment replaces it, so no caller of the package sees this.

    Args:
        how: What is known about its end, such as "process 4711, exit code -9".
    """

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardConfig:
    """What a pool has to know about a lane to move its numbers.

    Args:
        num_fields: Observation fields `D`.
        num_hyperparameters: Controlled hyperparameters `H`.
        action_dtype: Of what is sent to the workers: float64, or int64 for choices.
    """

    num_fields: int
    num_hyperparameters: int
    action_dtype: type[np.float64] | type[np.int64]


class Pool(ABC):
    """K workers with one shard each; every call to one of them is a `send` and a `receive`.

    Calls to different workers run at once; a worker has at most one call in progress.
    """

    @abstractmethod
    def start(self, worker: int) -> None:
        """Start a worker, in place of the one before if there was one.

        `receive` waits until it is ready and returns its process id.
        """

    @abstractmethod
    def send(self, worker: int, method: str, *arguments: Any) -> None:
        """Call a method of `Shard`; a call still in progress is waited for and forgotten."""

    @abstractmethod
    def receive(self, worker: int) -> Any:
        """Wait for the answer to the call in progress.

        Raises:
            WorkerLostError: The worker died, now or earlier.
            Exception: Whatever the method raised, with the same type and message.
        """

    @abstractmethod
    def close(self) -> None:
        """End all workers, busy or not; a second call does nothing."""
