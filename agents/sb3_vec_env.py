"""The bridge to Stable-Baselines3: `HPOControlVectorEnv` behind its `VecEnv` interface.

Stable-Baselines3 hands per-lane dictionaries around; here only lanes that have ended get entries in
theirs. Everything else that a step measured stays in arrays, in `SB3VecEnv.last`, where callbacks
and validation read it without touching a lane in Python.

Axes: `N` lanes, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import LEVELS
from hpo_env.sharding import ShardedVectorEnv
from hpo_env.vector_env import HPOControlVectorEnv

Array = NDArray[np.float64]


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


class SB3VecEnv(VecEnv):
    """An `HPOControlVectorEnv` as Stable-Baselines3 wants it.

    Args:
        lanes: The environment; it must reset ended lanes in the same step, because
            Stable-Baselines3 expects the first observation of the next episode with the last reward
            of this one.

    Raises:
        ConfigurationError: The environment resets its lanes in another way.

    Example:
        >>> venv = SB3VecEnv(HPOControlVectorEnv(2, family="quadratic"))
        >>> venv.reset().shape == (2, *venv.observation_space.shape)
        True
    """

    def __init__(self, lanes: HPOControlVectorEnv | ShardedVectorEnv) -> None:
        if lanes.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ConfigurationError(
                "Stable-Baselines3 needs autoreset_mode='SameStep' (the default); "
                f"got {lanes.autoreset_mode.value!r}"
            )
        self.lanes = lanes  # before super().__init__, which asks for its render_mode
        super().__init__(lanes.num_envs, lanes.single_observation_space, lanes.single_action_space)
        self.seconds = 0.0
        self.last: LaneStep | None = None
        self.validation_loss = np.ones(lanes.num_envs)  # of the runs that go on
        self._progress_column = list(lanes.observation_docs).index("progress")
        self._actions: NDArray[Any] = np.zeros(0)
        self._observations: NDArray[np.float32] = np.zeros(0, np.float32)
        self._returns = np.zeros(lanes.num_envs)
        self._lengths = np.zeros(lanes.num_envs, dtype=np.int64)

    def reset(self) -> NDArray[np.float32]:
        """Start new episodes in all lanes, with the seeds that `seed` left behind."""
        seeds = None if all(s is None for s in self._seeds) else self._seeds
        self._observations, info = self.lanes.reset(seed=seeds)
        self.validation_loss = info["validation_loss"]
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, dtype=np.int64)
        self.last = None
        self._reset_seeds()
        self._reset_options()
        return self._observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions; the work is done in `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Train every lane for one decision interval.

        Returns:
            Observations `[N, D]`, rewards float32 `[N]`, ended bool `[N]`, and a dictionary a lane,
            with `terminal_observation` where an episode ended.
        """
        start = time.perf_counter()
        observations, rewards, terminated, truncated, info = self.lanes.step(self._actions)
        self.seconds += time.perf_counter() - start
        ended = terminated | truncated
        self._returns, self._lengths = self._returns + rewards, self._lengths + 1
        self.last = self._lane_step(info, ended)
        self.validation_loss = info["validation_loss"]
        self._returns = np.where(ended, 0.0, self._returns)
        self._lengths = np.where(ended, 0, self._lengths)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for lane in np.flatnonzero(ended):
            infos[lane]["terminal_observation"] = info["final_obs"][lane]
            infos[lane]["TimeLimit.truncated"] = bool(truncated[lane] and not terminated[lane])
        self._observations = observations
        # A new array: PPO adds to the rewards it was handed.
        return observations, rewards.astype(np.float32), ended, infos

    def close(self) -> None:
        """Release the environment."""
        self.lanes.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the lanes, the same for each."""
        owner = self if attr_name in self.__dict__ else self.lanes
        return [getattr(owner, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of all lanes; they are one object."""
        if indices is not None:
            raise NotImplementedError("the lanes are one object: set_attr takes no indices")
        setattr(self.lanes, attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method of the lanes once and return its result for each."""
        result = getattr(self.lanes, method_name)(*method_args, **method_kwargs)
        return [result] * len(list(self._get_indices(indices)))

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Say that no lane is wrapped."""
        return [False] * len(list(self._get_indices(indices)))

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Draw every lane's run so far."""
        frames = self.lanes.render()
        return [None] * self.num_envs if frames is None else list(frames)

    def _lane_step(self, info: dict[str, Any], ended: NDArray[np.bool_]) -> LaneStep:
        closing = info.get("final_info", info)
        values = closing["hyperparameters"]
        moves = self._actions
        moves = (
            LEVELS[moves]
            if self.lanes.action_mode == "discrete"
            else np.clip(moves, -1.0, 1.0).astype(np.float64)
        )
        progress = self._observations[:, self._progress_column].astype(np.float64)
        return LaneStep(
            progress=(progress + 1.0) / 2.0,
            moves=moves,
            values=np.stack([values[name] for name in self.lanes.controlled.names], axis=1),
            ended=ended,
            returns=self._returns,
            lengths=self._lengths,
            rolled_back=closing["rolled_back"],
            validation_loss=closing["validation_loss"],
            tasks=closing.get("task"),
        )


def unwrap(venv: VecEnv) -> SB3VecEnv:
    """Find the bridge under any wrappers."""
    inner = venv.unwrapped
    if not isinstance(inner, SB3VecEnv):
        raise ConfigurationError(f"no SB3VecEnv inside {type(venv).__name__}")
    return inner
