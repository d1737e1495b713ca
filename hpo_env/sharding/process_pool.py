"""Workers as processes on this machine.

Arrays cross through shared memory, the rest through a pipe. A worker runs one thread: two eager
torch threads a worker are many times slower than one as soon as the cores are busy.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any

from hpo_env.sharding.memory import SharedStep
from hpo_env.sharding.one_thread import one_thread
from hpo_env.sharding.pool import Pool, ShardConfig, WorkerLostError
from hpo_env.sharding.shard import Outcome, Reply, Shard, failure, perform

_CLOSE = "close"
_GRACE_SECONDS = 5.0  # to leave by itself, then again after SIGTERM


class ProcessPool(Pool):
    """One process a shard.

    Processes come from a fork server where there is one: a clean process that has torch imported,
    so that a worker starts at once. Elsewhere they are spawned. Plain forks would copy locks that
    threads of this process hold.

    Args:
        shards: For each worker the arguments of its `Shard`.
        config: Sizes of the arrays that cross.
    """

    def __init__(self, shards: Sequence[Mapping[str, Any]], config: ShardConfig) -> None:
        self._context = _context()
        self._shards = shards
        self._memory = [SharedStep(self._context, s["num_envs"], config) for s in shards]
        self._workers: dict[int, _Worker] = {}
        self._close = weakref.finalize(self, _end, self._workers)  # at interpreter exit too

    def start(self, worker: int) -> None:
        """Start a worker; see `Pool.start`."""
        if worker in self._workers:
            _end({worker: self._workers.pop(worker)})
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve,
            args=(theirs, self._memory[worker], dict(self._shards[worker])),
            name=f"hpo-control-shard-{worker}",
            daemon=True,  # multiprocessing ends it with us, should all else fail
        )
        with one_thread():
            process.start()
        theirs.close()  # so that the pipe ends with the worker
        self._workers[worker] = _Worker(process, ours)

    def send(self, worker: int, method: str, *arguments: Any) -> None:
        """Call a method of a shard; see `Pool.send`."""
        handle = self._workers[worker]
        if handle.is_busy:  # an interrupt came between send and receive
            with suppress(WorkerLostError):  # it stays lost, and `receive` says so
                handle.receive()
        if method == "step":
            self._memory[worker].put_actions(arguments[0])
            arguments = ()
        handle.send((method, arguments))

    def receive(self, worker: int) -> Any:
        """Wait for an answer; see `Pool.receive`."""
        value = self._workers[worker].receive().unwrap()
        return self._memory[worker].fill(value) if isinstance(value, Reply) else value

    def close(self) -> None:
        """End all workers; see `Pool.close`."""
        self._close()


class _Worker:
    """A process and our end of its pipe."""

    def __init__(self, process: Any, pipe: Connection) -> None:
        self.process = process
        self.pipe = pipe
        self.is_busy = True  # it builds its environment

    def send(self, message: object) -> None:
        self.is_busy = True
        # Plain pickle: torch's own reducers for pipes keep files open that tie the two processes.
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with suppress(OSError):  # it is dead, and `receive` says so
            self.pipe.send_bytes(data)

    def receive(self) -> Outcome:
        ready = wait([self.pipe, self.process.sentinel])
        try:
            if self.pipe not in ready and not self.pipe.poll():
                raise EOFError
            outcome: Outcome = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            self.process.join(_GRACE_SECONDS)
            raise WorkerLostError(
                f"process {self.process.pid}, exit code {self.process.exitcode}"
            ) from None
        self.is_busy = False
        return outcome


def _serve(pipe: Connection, memory: SharedStep, arguments: dict[str, Any]) -> None:
    """Run a worker: build the shard, then answer calls until the pipe ends or says so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us too; the parent ends us
    import torch

    torch.set_num_threads(1)
    try:
        shard = Shard(**arguments)
    except Exception as error:  # the parent raises it
        pipe.send_bytes(pickle.dumps(failure(error)))
        return
    try:
        pipe.send_bytes(pickle.dumps(Outcome(value=os.getpid())))
        while True:
            method, given = pickle.loads(pipe.recv_bytes())
            if method == _CLOSE:
                return
            outcome = perform(shard, method, (memory.actions(),) if method == "step" else given)
            if isinstance(outcome.value, Reply):
                outcome = Outcome(value=memory.put(outcome.value))
            pipe.send_bytes(pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL))
    except (EOFError, OSError):
        return  # the parent is gone


def _context() -> ForkServerContext | SpawnContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hpo_env.sharding.preload"])
    return context


def _end(workers: dict[int, _Worker]) -> None:
    """End processes: idle ones by asking, busy ones by SIGTERM, stubborn ones by SIGKILL."""
    for worker in workers.values():
        if worker.is_busy:
            worker.process.terminate()
        else:
            worker.send((_CLOSE, ()))
    for finish in ("terminate", "kill"):
        deadline = time.monotonic() + _GRACE_SECONDS
        for worker in workers.values():
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                getattr(worker.process, finish)()
    for worker in workers.values():
        worker.process.join()
        worker.process.close()
        worker.pipe.close()
    workers.clear()
