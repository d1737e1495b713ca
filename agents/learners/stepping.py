"""Steps of an environment, and what each of them measured in all lanes.

Learners, curves and validation read `LaneStep` and never touch a lane in Python.

Axes: `N` lanes, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.sharding import ShardedVectorEnv
from hpo_env.tasks.base import Task
from hpo_env.vector_env import HPOControlVectorEnv

Array = NDArray[np.float64]
Env = HPOControlVectorEnv | ShardedVectorEnv


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaneStep:
    """What one step measured in all lanes.

    Args:
        progress: Share of the episode that was over when the action was chosen, `[N]` in `[0, 1)`.
        moves: What the agent asked for, on the scale of continuous actions, `[N, H]` in `[-1, 1]`;
            after a failed interval the guard moves in its place.
        values: Effective hyperparameters `[N, H]`.
        ended: Lanes whose episode ended with this step, bool `[N]`.
        returns: Sum of the episode's rewards up to and including this step, `[N]`.
        lengths: Steps of the episode up to and including this one, `[N]`.
        rolled_back: Lanes whose interval the guard took back, bool `[N]`.
        validation_loss: Validation loss after the step, `[N]`.
        tasks: Name of the task of each lane that has ended, object `[N]`; None when none has.
        seconds: Wall-clock time that the environment took.
    """

    progress: Array
    moves: Array
    values: Array
    ended: NDArray[np.bool_]
    returns: Array
    lengths: NDArray[np.int64]
    rolled_back: NDArray[np.bool_]
    validation_loss: Array
    tasks: NDArray[np.object_] | None
    seconds: float


class Stepper:
    """An environment that keeps what its last step measured.

    Args:
        env: Resets ended lanes in the same step.
    """

    def __init__(self, env: Env) -> None:
        self.env = env
        self.last: LaneStep | None = None
        self.validation_loss = np.ones(env.num_envs)  # of the runs that go on
        self._progress_column = list(env.observation_docs).index("progress")
        self._observations: NDArray[np.float32] = np.zeros(0, np.float32)
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, dtype=np.int64)

    def reset(
        self,
        seeds: Sequence[int | None] | None = None,
        tasks: Sequence[Task | None] | None = None,
    ) -> NDArray[np.float32]:
        """Start new episodes in all lanes.

        Args:
            seeds: One a lane; None goes on with the lanes' own random streams.
            tasks: What each lane trains from now on, None what it draws; not given, as before.

        Returns:
            Observations `[N, D]`.
        """
        self._observations, info = self.env.reset(
            seed=None if seeds is None else list(seeds),
            options=None if tasks is None else {"tasks": list(tasks)},
        )
        self.validation_loss = info["validation_loss"]
        self._returns = np.zeros(self.env.num_envs)
        self._lengths = np.zeros(self.env.num_envs, dtype=np.int64)
        self.last = None
        return self._observations

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], Array, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Train every lane for one decision interval: Gymnasium's five, and `last`."""
        start = time.perf_counter()
        observations, rewards, terminated, truncated, info = self.env.step(actions)
        seconds = time.perf_counter() - start
        ended = terminated | truncated
        self._returns, self._lengths = self._returns + rewards, self._lengths + 1
        self.last = self._lane_step(actions, info, ended, seconds)
        self.validation_loss = info["validation_loss"]
        self._returns = np.where(ended, 0.0, self._returns)
        self._lengths = np.where(ended, 0, self._lengths)
        self._observations = observations
        return observations, rewards, terminated, truncated, info

    def _lane_step(
        self,
        actions: NDArray[Any],
        info: dict[str, Any],
        ended: NDArray[np.bool_],
        seconds: float,
    ) -> LaneStep:
        closing = info.get("final_info", info)
        values = closing["hyperparameters"]
        progress = self._observations[:, self._progress_column].astype(np.float64)
        return LaneStep(
            progress=(progress + 1.0) / 2.0,
            moves=self.env.moves_of(actions),
            values=np.stack([values[name] for name in self.env.controlled.names], axis=1),
            ended=ended,
            returns=self._returns,
            lengths=self._lengths,
            rolled_back=closing["rolled_back"],
            validation_loss=closing["validation_loss"],
            tasks=closing.get("task"),
            seconds=seconds,
        )
