"""What runs in a worker: some of the lanes, and answers that can be sent.

Axes: `n` lanes of the shard, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.base import Task
from hpo_env.vector_env import HPOControlVectorEnv


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reply:
    """What a shard shows after a call that moved its lanes.

    Args:
        observations: `[n, D]` float32.
        rewards: `[n]` float64, 0 unless the call was a step.
        terminated: `[n]` bool.
        truncated: `[n]` bool.
        info: Gymnasium's vector info over the n lanes.
        tasks: The task of each lane whose task has changed, by its place in the shard.
    """

    observations: NDArray[np.float32]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    info: dict[str, Any]
    tasks: dict[int, Task]


class Shard:
    """An `HPOControlVectorEnv` whose calls take places in the shard and return what can be sent.

    Args:
        **arguments: Those of `HPOControlVectorEnv`.
    """

    def __init__(self, **arguments: Any) -> None:
        self._env = HPOControlVectorEnv(**arguments)
        self._known_tasks: list[Task | None] = [None] * self._env.num_envs

    def reset(
        self,
        seeds: Sequence[int | None],
        mask: NDArray[np.bool_] | None,
        tasks: Sequence[Task | None],
    ) -> Reply:
        """Start new runs in the masked lanes (None: in all), with seeds and tasks where given."""
        options: dict[str, Any] = {"tasks": tasks}
        options |= {} if mask is None else {"reset_mask": mask}
        observations, info = self._env.reset(seed=seeds, options=options)
        return self._reply(observations, info)

    def step(self, actions: NDArray[Any]) -> Reply:
        """Train every lane for one decision interval; actions `[n, H]`."""
        observations, rewards, terminated, truncated, info = self._env.step(actions)
        return self._reply(observations, info, rewards, terminated, truncated)

    def snapshot(self, lanes: Sequence[int]) -> list[dict[str, Any]]:
        """Copy all state of the given lanes, each on its own so that shards can exchange them."""
        return [self._env.snapshot([lane]) for lane in lanes]

    def restore(self, snapshots: Sequence[dict[str, Any]], lanes: Sequence[int]) -> Reply:
        """Put one snapshot into each of the given lanes; at least one."""
        for snapshot, lane in zip(snapshots, lanes, strict=True):
            observations = self._env.restore(snapshot, [lane])
        return self._reply(observations, {})

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Draw every lane's run so far."""
        return self._env.render()

    def _reply(
        self,
        observations: NDArray[np.float32],
        info: dict[str, Any],
        rewards: NDArray[np.float64] | None = None,
        terminated: NDArray[np.bool_] | None = None,
        truncated: NDArray[np.bool_] | None = None,
    ) -> Reply:
        num_lanes, tasks = self._env.num_envs, self._env.tasks
        changed = {i: t for i, t in enumerate(tasks) if t is not self._known_tasks[i]}
        self._known_tasks = list(tasks)
        return Reply(
            observations=observations,
            rewards=np.zeros(num_lanes) if rewards is None else rewards,
            terminated=np.zeros(num_lanes, dtype=bool) if terminated is None else terminated,
            truncated=np.zeros(num_lanes, dtype=bool) if truncated is None else truncated,
            info=info,
            tasks=changed,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What a call came to: a value, or the error that it raised."""

    value: Any = None
    error: Exception | None = None

    def unwrap(self) -> Any:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


def failure(error: Exception) -> Outcome:
    """Make an error that can be sent: same type and message, the worker's traceback as a note."""
    error.add_note("In a worker:\n" + "".join(traceback.format_exception(error)).rstrip())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an error may hold anything, and its constructor may want anything
        replacement = RuntimeError(f"{type(error).__name__}: {error}")
        replacement.add_note(error.__notes__[-1])
        return Outcome(error=replacement)
    return Outcome(error=error)


def perform(shard: Shard, method: str, arguments: Sequence[Any]) -> Outcome:
    """Call a method of a shard and catch what it raises, so that the worker lives on."""
    try:
        return Outcome(value=getattr(shard, method)(*arguments))
    except Exception as error:  # whatever it is, the caller has to see it
        return failure(error)
