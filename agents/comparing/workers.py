"""What does jobs: processes on this machine by default, or this process itself."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from hpo_env.sharding.one_thread import one_thread

from .jobs import Job, Result, attempt, attempt_on_one_core, use_one_thread

_GRACE_SECONDS = 5.0


class Workers(ABC):
    """Does up to `capacity` jobs at a time."""

    capacity: int

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Start a job; at most `capacity` may be under way."""

    @abstractmethod
    def wait(self) -> tuple[Job, Result]:
        """Return one of the jobs under way as soon as it has ended, be it by a worker's death."""

    @abstractmethod
    def close(self) -> None:
        """End all workers, busy or not; a second call does nothing."""


class InProcess(Workers):
    """This process, one job after the other: for a debugger, and where processes are not allowed.

    Torch is left with one thread, see `use_one_thread`; the family's trainers keep theirs.
    """

    capacity = 1

    def __init__(self) -> None:
        use_one_thread()
        self._jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        """See `Workers.submit`; the job begins in `wait`."""
        self._jobs.append(job)

    def wait(self) -> tuple[Job, Result]:
        """See `Workers.wait`."""
        job = self._jobs.pop()
        return job, attempt(job)

    def close(self) -> None:
        """See `Workers.close`."""
        self._jobs = []


class ProcessWorkers(Workers):
    """One process a worker, each with a pipe of its own, so that a death concerns one job.

    Processes are spawned: a fork would copy locks that threads of this process hold (rich's and
    torch's), and the seconds that a clean start takes are nothing to a comparison's.

    Args:
        num_workers: Processes.
    """

    def __init__(self, num_workers: int) -> None:
        self.capacity = num_workers
        self._context = multiprocessing.get_context("spawn")
        self._idle: list[_Worker] = []
        self._busy: list[tuple[_Worker, Job]] = []

    def submit(self, job: Job) -> None:
        """See `Workers.submit`; a process is started when none is idle."""
        worker = next((w for w in self._idle if w.process.is_alive()), None)
        if worker is None:
            worker = self._start()
        else:
            self._idle.remove(worker)
        self._busy.append((worker, job))
        worker.send(job)

    def wait(self) -> tuple[Job, Result]:
        """See `Workers.wait`."""
        ready = wait([part for worker, _ in self._busy for part in worker.parts])
        worker, job = next(
            (worker, job)
            for worker, job in self._busy
            if any(part in ready for part in worker.parts)
        )
        self._busy.remove((worker, job))
        result = worker.receive()
        if result is None:
            return job, Result(error=f"its worker died ({worker.end()})")
        self._idle.append(worker)
        return job, result

    def close(self) -> None:
        """See `Workers.close`."""
        workers = [*self._idle, *(worker for worker, _ in self._busy)]
        self._idle, self._busy = [], []
        for worker in workers:
            worker.process.terminate()  # what is under way is run again next time
        for worker in workers:
            worker.end()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs,), name="hpo-control-compare", daemon=True
        )
        with one_thread():
            process.start()
        theirs.close()  # so that the pipe ends with the worker
        return _Worker(process, ours)


class _Worker:
    """A process and our end of its pipe."""

    def __init__(self, process: Any, pipe: Connection) -> None:
        self.process = process
        self.pipe = pipe

    @property
    def parts(self) -> list[Any]:
        """What becomes ready when the worker answers or dies."""
        return [self.pipe, self.process.sentinel]

    def send(self, job: Job) -> None:
        data = pickle.dumps(job, pickle.HIGHEST_PROTOCOL)
        with suppress(OSError):  # it is dead, and `receive` says so
            self.pipe.send_bytes(data)

    def receive(self) -> Result | None:
        """Return the answer, or None if the worker has died without one."""
        try:
            if not self.pipe.poll():
                return None
            result: Result = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            return None
        return result

    def end(self) -> str:
        """Wait for its end, help it along, and say how it ended."""
        self.process.join(_GRACE_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        how = f"exit code {self.process.exitcode}"
        self.process.close()
        self.pipe.close()
        return how


def _serve(pipe: Connection) -> None:
    """Run a worker: do one job after the other until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us too; the parent ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        while True:
            pipe.send_bytes(pickle.dumps(_answer(pipe.recv_bytes()), pickle.HIGHEST_PROTOCOL))
    except (EOFError, OSError):
        return  # the parent is gone


def _answer(message: bytes) -> Result:
    try:
        job: Job = pickle.loads(message)
    except Exception as error:  # such as a module that cannot be imported here
        return Result(error=f"{type(error).__name__}: {error}")
    return attempt_on_one_core(job)


def _end_with_parent() -> None:
    """End this process when the parent has been killed, even in the middle of a long job."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
