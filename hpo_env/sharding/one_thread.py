"""One thread a worker process: with more than there are cores they spin while they wait."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_lock = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let processes that start meanwhile find one thread in their environment.

    The environment and not a call, because numpy's BLAS and torch read it when they are imported.
    """
    with _lock:
        before = {name: os.environ.get(name) for name in _VARIABLES}
        os.environ.update(dict.fromkeys(_VARIABLES, "1"))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
