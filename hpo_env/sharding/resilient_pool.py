"""Workers that are kept complete: who dies is replaced, until that makes no sense."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.sharding.pool import Pool, WorkerError, WorkerLostError

MAX_LOSSES = 3
"""Deaths of one worker without a finished step in between after which the run ends."""

Call = tuple[Any, ...]
"""The name of a method of `Shard`, and its arguments."""


class ResilientPool:
    """The workers of one environment.

    Args:
        pool: Holds them.
        lanes_of: The lanes of each worker, for messages.
        first_call: Says what a replacement has to be called with before anything else.
        on_replaced: Is told the worker and its answer to that call.

    Raises:
        WorkerError: A worker cannot be started.
    """

    def __init__(
        self,
        pool: Pool,
        lanes_of: Sequence[NDArray[np.int64]],
        *,
        first_call: Callable[[int], Call | None],
        on_replaced: Callable[[int, Any], None],
    ) -> None:
        self._pool = pool
        self._lanes_of = lanes_of
        self._first_call = first_call
        self._on_replaced = on_replaced
        self._num_losses = [0] * len(lanes_of)  # since the last finished step
        self.pids = [0] * len(lanes_of)
        self.is_closed = False
        workers = range(len(lanes_of))
        try:
            for worker in workers:
                pool.start(worker)
            for worker, pid in self.receive(workers).items():
                self.pids[worker] = pid
        except BaseException:
            self.close()
            raise

    def ask(self, calls: Mapping[int, Call]) -> dict[int, Any]:
        """Call several workers at once; one that dies is replaced and asked again."""
        answers: dict[int, Any] = {}
        while missing := [worker for worker in calls if worker not in answers]:
            for worker in missing:
                self.send(worker, *calls[worker])
            answers |= self.receive(missing)
        return answers

    def send(self, worker: int, method: str, *arguments: Any) -> None:
        """Call a worker and return at once; `receive` waits for the answer."""
        self._pool.send(worker, method, *arguments)

    def receive(self, workers: Iterable[int]) -> dict[int, Any]:
        """Wait for answers; a worker that died is replaced and missing from the result.

        Raises:
            WorkerError: A worker died too often.
            Exception: What a worker raised, after all others have answered.
        """
        answers: dict[int, Any] = {}
        losses: list[tuple[int, WorkerLostError]] = []
        errors: list[Exception] = []
        for worker in workers:
            try:
                answers[worker] = self._pool.receive(worker)
            except WorkerLostError as loss:
                losses.append((worker, loss))
            except Exception as error:  # raised by the shard; the other answers come first
                errors.append(error)
        for worker, lost in losses:
            self._replace(worker, lost)
        if errors:
            raise errors[0]
        return answers

    def note_finished_step(self, workers: Iterable[int]) -> None:
        """Trust workers again, as they have finished a step."""
        for worker in workers:
            self._num_losses[worker] = 0

    def close(self) -> None:
        """End all workers."""
        self.is_closed = True
        self._pool.close()

    def _replace(self, worker: int, lost: WorkerLostError) -> None:
        while True:
            self._count_loss(worker, lost)
            try:
                self._pool.start(worker)
                self.pids[worker] = self._pool.receive(worker)
                call = self._first_call(worker)
                if call is not None:
                    self._pool.send(worker, *call)
                    self._on_replaced(worker, self._pool.receive(worker))
                return
            except WorkerLostError as again:
                lost = again

    def _count_loss(self, worker: int, lost: WorkerLostError) -> None:
        lanes = self._lanes_of[worker].tolist()
        self._num_losses[worker] += 1
        if self._num_losses[worker] >= MAX_LOSSES:
            self.close()
            raise WorkerError(
                f"worker {worker} (lanes {lanes}) died {MAX_LOSSES} times without finishing a "
                f"step, last as {lost.how}. Exit code -9 is often a lack of memory: use fewer "
                "lanes. Exit code 1 at the start is often a script without "
                "`if __name__ == '__main__':`"
            )
        warnings.warn(
            f"worker {worker} died ({lost.how}); a new one takes over and its lanes {lanes} start "
            "new episodes",
            RuntimeWarning,
            stacklevel=5,
        )
