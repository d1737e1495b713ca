"""One episode in every lane, with everything that was seen and done.

Axes: `E` runs, one a lane; `T` decision intervals of the longest; `D` observation fields; `H`
controlled hyperparameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from hpo_env.hyperparameters import LEVELS
from hpo_env.sharding import ShardedVectorEnv
from hpo_env.tasks.base import TaskFamily
from hpo_env.vector_env import HPOControlVectorEnv

from .frames import Reached

Array = NDArray[np.float64]
Lanes = HPOControlVectorEnv | ShardedVectorEnv
Act = Callable[[NDArray[np.float32]], Array]
"""Turns observations `[E, D]` into moves `[E, H]` in `[-1, 1]`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording(Reached):
    """What was reached, and what was seen and done, on each run.

    Args:
        fields: Names of the observation's fields, D.
        controlled: Names of the hyperparameters that can be moved, H.
        observations: What was seen before each decision `[E, T, D]`; NaN after the end.
        moves: What was decided `[E, T, H]`; NaN after the end.
        train_loss: Training loss of each interval `[E, T]`; NaN where not measured.
        family: That the tasks are from.
    """

    fields: tuple[str, ...]
    controlled: tuple[str, ...]
    observations: Array
    moves: Array
    train_loss: Array
    family: TaskFamily

    @property
    def seen(self) -> Array:
        """All observations of all runs, one below the other `[E * T', D]`."""
        flat = self.observations.reshape(-1, len(self.fields))
        return flat[np.isfinite(flat).all(axis=1)]


def still(lanes: Lanes) -> Act:
    """Return a policy that leaves the base schedule alone."""
    nothing = np.zeros((lanes.num_envs, len(lanes.controlled)))
    return lambda observations: nothing


def record(lanes: Lanes, act: Act, *, seed: int) -> Recording:
    """Run one episode in every lane.

    Args:
        lanes: They are reset; two recordings with one seed have the same tasks, weights and
            minibatches.
        act: What decides.
        seed: Lane `i` gets `seed + i`.
    """
    observations, info = lanes.reset(seed=seed)
    tasks = tuple(lanes.tasks)
    num_lanes, num_intervals = lanes.num_envs, max(task.num_decisions for task in tasks)
    shape = (num_lanes, num_intervals)
    curves = {n: np.full(shape, np.nan) for n in ("validation_loss", "train_loss")}
    values = {name: np.full(shape, np.nan) for name in lanes.space.names}
    finals = {n: np.full(num_lanes, np.nan) for n in ("last_loss", "test_loss", "test_metric")}
    diverged, running = np.zeros(num_lanes, dtype=bool), np.ones(num_lanes, dtype=bool)
    seen = np.full((*shape, observations.shape[1]), np.nan)
    moved = np.full((*shape, len(lanes.controlled)), np.nan)
    first_loss = info["validation_loss"].copy()
    for interval in range(num_intervals):
        moves = act(observations)
        seen[running, interval], moved[running, interval] = observations[running], moves[running]
        observations, _, terminated, truncated, info = lanes.step(_actions(lanes, moves))
        ended = terminated | truncated
        closing = info.get("final_info", info)
        for name, curve in curves.items():
            curve[running, interval] = closing[name][running]
        for name, curve in values.items():
            curve[running, interval] = closing["hyperparameters"][name][running]
        over = ended & running  # lanes that end early go on with an episode that nobody looks at
        if over.any():
            diverged[over] = closing["diverged"][over]
            for name in ("test_loss", "test_metric"):
                finals[name][over] = closing[name][over]
            fine = over & ~diverged
            finals["last_loss"][fine] = closing["validation_loss"][fine]
        running &= ~ended
        if not running.any():
            break
        if ended.any() and lanes.autoreset_mode is AutoresetMode.DISABLED:
            observations, _ = lanes.reset(options={"reset_mask": ended})
    return Recording(
        tasks=tasks,
        seeds=seed + np.arange(num_lanes),
        first_loss=first_loss,
        diverged=diverged,
        hyperparameters=values,
        **curves,
        **finals,
        fields=tuple(lanes.observation_docs),
        controlled=lanes.controlled.names,
        observations=seen,
        moves=moved,
        family=lanes.family,
    )


def _actions(lanes: Lanes, moves: Array) -> NDArray[Any]:
    if lanes.action_mode == "continuous":
        return moves.astype(np.float32)
    return np.asarray(np.abs(moves[..., None] - LEVELS).argmin(axis=-1))
