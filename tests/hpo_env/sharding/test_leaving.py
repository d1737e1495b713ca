"""Nothing stays behind: no process, no zombie, no shared memory, no open file."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hpo_env.sharding.sharded_env import ShardedVectorEnv
from tests.hpo_env.sharding.comparing import sharded

SCRIPT = """
import os, sys, time
import numpy as np
from hpo_env.sharding import make_vector_env

if __name__ == "__main__":
    env = make_vector_env(2, num_workers=2, family="quadratic")
    env.reset(seed=0)
    env.step(np.zeros((2, 1), np.float32))
    print(*env.worker_pids, flush=True)
    {ending}
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for_end(pids: list[int], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_running, pids))


def shared_memory() -> set[str]:
    folder = Path("/dev/shm")
    return set(os.listdir(folder)) if folder.is_dir() else set()


def start(tmp_path: Path, ending: str) -> tuple[subprocess.Popen[str], list[int]]:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(ending=ending))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert process.stdout is not None
    return process, [int(pid) for pid in process.stdout.readline().split()]


def test_closing_ends_all_workers_and_may_be_repeated() -> None:
    with sharded(3, 3) as env:
        env.reset(seed=0)
        pids = env.worker_pids
        assert all(map(is_running, pids))
        env.close()
        assert not any(map(is_running, pids))
        env.close()


def test_closing_in_mid_step_does_not_wait_for_a_worker_that_hangs() -> None:
    with sharded(2, 2) as env:
        env.reset(seed=0)
        pids = env.worker_pids
        os.kill(pids[1], signal.SIGSTOP)  # not even SIGTERM gets through
        env.step_async(np.zeros((2, 1), np.float32))
        env.close()
        assert not any(map(is_running, pids))


def test_an_environment_that_is_forgotten_ends_its_workers() -> None:
    with sharded(2, 2) as env:
        env.reset(seed=0)
        pids = env.worker_pids
    del env
    gc.collect()
    assert not any(map(is_running, pids))


def test_many_environments_leave_no_file_and_no_memory_behind() -> None:
    def use() -> None:
        with sharded(2, 2) as env:
            env.reset(seed=0)
            os.kill(env.worker_pids[0], signal.SIGKILL)
            with pytest.warns(RuntimeWarning, match="worker 0 died"):
                env.step(np.zeros((2, 1), np.float32))

    use()
    gc.collect()
    num_files, memory = len(os.listdir("/proc/self/fd")), shared_memory()
    for _ in range(3):
        use()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= num_files
    assert shared_memory() <= memory


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise KeyboardInterrupt", "del env"])
def test_a_script_that_does_not_close_leaves_nothing(tmp_path: Path, ending: str) -> None:
    process, pids = start(tmp_path, ending)
    _, errors = process.communicate(timeout=60)
    assert len(pids) == 2
    assert wait_for_end(pids)
    assert "leaked" not in errors
    if ending != "raise KeyboardInterrupt":
        assert not errors


def test_an_interrupt_from_the_keyboard_ends_all_and_prints_one_traceback(tmp_path: Path) -> None:
    process, pids = start(tmp_path, "time.sleep(60)")
    os.killpg(process.pid, signal.SIGINT)  # the terminal sends it to the whole group
    _, errors = process.communicate(timeout=60)
    assert wait_for_end(pids)
    assert errors.count("Traceback") == 1
    assert "KeyboardInterrupt" in errors


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    process, pids = start(tmp_path, "time.sleep(60)")
    process.kill()
    process.communicate(timeout=60)
    assert wait_for_end(pids)


def test_a_step_that_was_interrupted_does_not_answer_for_the_next_call() -> None:
    with sharded(2, 2) as env:
        env.reset(seed=0)
        env.step_async(np.zeros((2, 1), np.float32))  # and an interrupt kept us from waiting
        observations, _ = env.reset(seed=1)
        again, _ = env.reset(seed=1)
        assert np.array_equal(observations, again)
        assert isinstance(env, ShardedVectorEnv)
