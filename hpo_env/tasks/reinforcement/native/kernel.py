"""The kernel as Python calls it: learners in lanes, each in memory of its own.

Axes: `n` lanes, `H` hyperparameters, `C` columns of what is measured.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.building import BuildError, built
from hpo_env.tasks.reinforcement.columns import COLUMNS
from hpo_env.tasks.reinforcement.environments.base import Floats
from hpo_env.tasks.reinforcement.environments.registry import TYPES
from hpo_env.tasks.reinforcement.memory import MAX_ENVS, Learner
from hpo_env.tasks.reinforcement.space import NAMES

Array = NDArray[np.float64]

_SOURCE = Path(__file__).with_name("kernels.cpp")
# Sums may be taken in any order; infinities and NaN stay what they are.
_FLAGS = (
    "-std=c++17",
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fassociative-math",
    "-ffp-contract=fast",
)


_num_threads = 1


def set_num_threads(num_threads: int) -> None:
    """Spread the learners of every later call over threads; outcomes do not depend on it."""
    global _num_threads
    _num_threads = num_threads


class Kernel:
    """Learners in C++; every call works on the given ones and releases the GIL.

    Raises:
        BuildError: The library cannot be built or loaded.
    """

    def __init__(self) -> None:
        self._library = _loaded(str(built(_SOURCE, _FLAGS)))

    def begin(self, learners: Sequence[Learner], values: Array) -> Array:
        """Start the environments and collect the first rollout under values `[n, H]`.

        Returns:
            What it measured `[n, C]`.
        """
        return self._measured("learners_begin", learners, values)

    def advance(self, learners: Sequence[Learner], values: Array) -> Array:
        """Run an interval under values `[n, H]`, and return what it measured `[n, C]`."""
        return self._measured("learners_advance", learners, values)

    def evaluate(
        self, learners: Sequence[Learner], num_episodes: int, seeds: NDArray[np.uint64]
    ) -> Array:
        """Play episodes from seeds `[n]`; returns, `[n, num_episodes]`."""
        out = np.empty((len(learners), num_episodes))
        drawn = np.ascontiguousarray(seeds)

        def run(lanes: slice) -> None:
            part = learners[lanes]
            self._call("learners_evaluate", part, num_episodes, drawn[lanes], out[lanes])

        _spread(run, len(learners))
        return out

    def reset_environment(
        self, kind: int, physics: Floats, state: Floats, random: NDArray[np.uint64]
    ) -> Floats:
        """Begin an episode of one environment, in place; returns what is seen."""
        seen = np.zeros(TYPES[kind].rules.observation_size, dtype=np.float32)
        arrays: tuple[NDArray[Any], ...] = (physics, state, random, seen)
        self._library.learners_env_reset(ctypes.c_int64(kind), *map(_address, arrays))
        return seen

    def step_environment(
        self,
        kind: int,
        physics: Floats,
        state: Floats,
        action: Floats,
        random: NDArray[np.uint64],
    ) -> tuple[Floats, float, bool]:
        """Step one environment, in place; returns what is seen, the reward, whether it ended."""
        seen = np.zeros(TYPES[kind].rules.observation_size, dtype=np.float32)
        is_end = np.zeros(1, dtype=np.int64)
        arrays: tuple[NDArray[Any], ...] = (physics, state, action, random, seen, is_end)
        reward = self._library.learners_env_step(ctypes.c_int64(kind), *map(_address, arrays))
        return seen, float(reward), bool(is_end[0])

    def _measured(self, name: str, learners: Sequence[Learner], values: Array) -> Array:
        out = np.empty((len(learners), len(COLUMNS)))
        given = np.ascontiguousarray(values, dtype=np.float64)

        def run(lanes: slice) -> None:
            self._call(name, learners[lanes], given[lanes], out[lanes])

        _spread(run, len(learners))
        return out

    def _call(self, name: str, learners: Sequence[Learner], *rest: Any) -> None:
        settings = np.array([learner.settings for learner in learners])
        physics = np.array([learner.physics for learner in learners])
        places = [
            np.array([getattr(learner, part).ctypes.data for learner in learners], dtype=np.uintp)
            for part in ("numbers", "counters")
        ]
        others = [ctypes.c_int64(r) if isinstance(r, int) else _address(r) for r in rest]
        getattr(self._library, name)(
            ctypes.c_int64(len(learners)), *map(_address, (settings, physics, *places)), *others
        )


def _spread(run: Callable[[slice], None], count: int) -> None:
    """Run parts of so many learners, a thread each."""
    threads = min(_num_threads, count)
    if threads <= 1:
        run(slice(0, count))
        return
    edges = np.linspace(0, count, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, [slice(a, b) for a, b in pairwise(edges)]))


@cache
def _loaded(path: str) -> ctypes.CDLL:
    try:
        loaded = ctypes.CDLL(path)
    except OSError as error:
        raise BuildError(f"the library cannot be loaded: {error}") from error
    for name in ("begin", "advance", "evaluate", "environment", "sizes", "env_reset"):
        getattr(loaded, f"learners_{name}").restype = None
    loaded.learners_env_step.restype = ctypes.c_double
    for name, wanted in (
        ("values", len(NAMES)),
        ("columns", len(COLUMNS)),
        ("environments", len(TYPES)),
    ):
        assert getattr(loaded, f"learners_num_{name}")() == wanted
    assert loaded.learners_max_envs() == MAX_ENVS
    for number, kind in enumerate(TYPES):
        facts, bounds = np.zeros(5, dtype=np.int64), np.zeros(2)
        loaded.learners_environment(ctypes.c_int64(number), _address(facts), _address(bounds))
        rules = kind.rules
        known = [
            rules.state_size,
            rules.observation_size,
            rules.num_outputs,
            int(rules.is_discrete),
            rules.max_steps,
        ]
        assert facts.tolist() == known, f"{kind.name}: kernel {facts.tolist()}, rules {known}"
        assert bounds.tolist() == [rules.low, rules.high]
    return loaded


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)
