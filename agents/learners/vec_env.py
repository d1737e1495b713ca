"""The bridge to Stable-Baselines3: `HPOControlVectorEnv` behind its `VecEnv` interface.

Stable-Baselines3 hands per-lane dictionaries around; here only lanes that have ended get entries in
theirs. Everything else that a step measured stays in arrays, in `SB3VecEnv.last`.

Axes: `N` lanes, `D` observation fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from hpo_env.errors import ConfigurationError

from .stepping import Env, LaneStep, Stepper


class SB3VecEnv(VecEnv):
    """An `HPOControlVectorEnv` as Stable-Baselines3 wants it.

    Args:
        lanes: The environment; it must reset ended lanes in the same step, because
            Stable-Baselines3 expects the first observation of the next episode with the last reward
            of this one.

    Raises:
        ConfigurationError: The environment resets its lanes in another way.

    Example:
        >>> from hpo_env.vector_env import HPOControlVectorEnv
        >>> venv = SB3VecEnv(HPOControlVectorEnv(2, family="quadratic"))
        >>> venv.reset().shape == (2, *venv.observation_space.shape)
        True
    """

    def __init__(self, lanes: Env) -> None:
        if lanes.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ConfigurationError(
                "Stable-Baselines3 needs autoreset_mode='SameStep' (the default); "
                f"got {lanes.autoreset_mode.value!r}"
            )
        self.lanes = lanes  # before super().__init__, which asks for its render_mode
        super().__init__(lanes.num_envs, lanes.single_observation_space, lanes.single_action_space)
        self._stepper = Stepper(lanes)
        self._actions: NDArray[Any] = np.zeros(0)

    @property
    def last(self) -> LaneStep | None:
        """What the last step measured; None after a reset."""
        return self._stepper.last

    @property
    def validation_loss(self) -> NDArray[np.float64]:
        """Validation loss `[N]` of the runs that go on."""
        return self._stepper.validation_loss

    def reset(self) -> NDArray[np.float32]:
        """Start new episodes in all lanes, with the seeds that `seed` left behind.

        A lane's option `task`, see `set_options`, is its task from now on; None draws again.
        """
        seeds = None if all(s is None for s in self._seeds) else self._seeds
        tasks = [options["task"] for options in self._options if "task" in options]
        observations = self._stepper.reset(seeds, tasks or None)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions; the work is done in `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Train every lane for one decision interval.

        Returns:
            Observations `[N, D]`, rewards float32 `[N]`, ended bool `[N]`, and a dictionary a lane,
            with `terminal_observation` where an episode ended.
        """
        observations, rewards, terminated, truncated, info = self._stepper.step(self._actions)
        ended = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for lane in np.flatnonzero(ended):
            infos[lane]["terminal_observation"] = info["final_obs"][lane]
            infos[lane]["TimeLimit.truncated"] = bool(truncated[lane] and not terminated[lane])
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


def unwrap(venv: VecEnv) -> SB3VecEnv:
    """Find the bridge under any wrappers."""
    inner = venv.unwrapped
    if not isinstance(inner, SB3VecEnv):
        raise ConfigurationError(f"no SB3VecEnv inside {type(venv).__name__}")
    return inner
