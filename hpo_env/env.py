"""The single environment: `HPOControlVectorEnv` with one lane, in Gymnasium's single interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from hpo_env.errors import ActionError, ConfigurationError, UnknownArgumentError
from hpo_env.lanes_env import RENDER_METADATA
from hpo_env.vector_conventions import check_options, checked_autoreset_mode, checked_seed
from hpo_env.vector_env import HPOControlVectorEnv


class HPOControlEnv(gym.Env[NDArray[np.float32], Any]):
    """One training run whose hyperparameters an agent turns while it goes on.

    Spaces, reward, episode end and info are those of `HPOControlVectorEnv`, without the lane axis:
    `info["hyperparameters"]["learning_rate"]` is a float here. `info["task"]` is there from the
    start: buffers that keep infos in columns would find None, which they refuse, in every row
    without it.

    Args:
        render_mode: "rgb_array" or None.
        autoreset_mode: Accepted so that both environments take the same arguments. A single
            environment never resets itself, so only its spelling is checked.
        **arguments: Those of `HPOControlVectorEnv`, except `num_envs`.

    Example:
        >>> import gymnasium as gym, hpo_env
        >>> env = gym.make("HPOControl-v0", family="quadratic")
        >>> observation, info = env.reset(seed=0)
        >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        >>> sorted(info["hyperparameters"])
        ['learning_rate']
    """

    metadata: dict[str, Any] = dict(RENDER_METADATA)  # noqa: RUF012 - Gymnasium's type

    def __init__(
        self,
        *,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.DISABLED,
        **arguments: Any,
    ) -> None:
        checked_autoreset_mode(autoreset_mode)
        if "num_envs" in arguments:
            raise UnknownArgumentError(
                "the single environment got an unexpected keyword argument 'num_envs': "
                "gymnasium.make_vec makes many at once"
            )
        _check_one_task(arguments.get("tasks"))
        self.lanes = HPOControlVectorEnv(
            1, render_mode=render_mode, autoreset_mode=AutoresetMode.DISABLED, **arguments
        )
        self.render_mode = render_mode
        self.observation_space = self.lanes.single_observation_space
        self.action_space = self.lanes.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start a new run.

        Args:
            seed: Starts the run that a lane with that seed starts; None goes on drawing.
            options: `{"tasks": [task]}` fixes the task from now on, `[None]` draws again.
        """
        seed = None if seed is None else checked_seed(seed)
        check_options(options)
        _check_one_task((options or {}).get("tasks"))
        super().reset(seed=seed)
        observations, info = self.lanes.reset(seed=seed, options=options)
        return observations[0], self._of_this_run(info)

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Train for one decision interval; arguments and results as in the vector environment.

        Raises:
            ActionError: The action has the wrong shape, is not finite or is no choice.
            ConfigurationError: The run is over, or none has begun.
        """
        if self.lanes.is_over[0]:
            raise ConfigurationError("no run is going on: call reset() to start the next one")
        observations, rewards, terminated, truncated, info = self.lanes.step(self._row(action))
        return (
            observations[0],
            float(rewards[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            self._of_this_run(info),
        )

    def _row(self, action: Any) -> NDArray[Any]:
        """Check an action and return it as the only row `[1, ...]`."""
        row = np.asarray(action)
        if row.shape != self.action_space.shape:
            raise ActionError(
                f"an action must have shape {self.action_space.shape}, as {self.action_space} has; "
                f"got {row.shape}"
            )
        if row.dtype.kind not in "fiu":
            raise ActionError(f"an action must be made of numbers; got {action!r}")
        if not np.isfinite(row).all():
            raise ActionError(f"an action must be finite; got {action}. Has the policy diverged?")
        return row[None]

    def _of_this_run(self, info: dict[str, Any]) -> dict[str, Any]:
        """Return the only lane's information, and which task it is about."""
        (task,) = self.lanes.tasks
        return {"task": task.name, **_unbatch(info)}

    def render(self) -> NDArray[np.uint8] | None:
        """Draw the run so far, RGB `[height, width, 3]`."""
        frames = self.lanes.render()
        return None if frames is None else frames[0]

    def snapshot(self) -> dict[str, Any]:
        """Copy all state, so that `restore` replays bit for bit."""
        return self.lanes.snapshot()

    def restore(self, snapshot: dict[str, Any]) -> NDArray[np.float32]:
        """Go back to a snapshot and return its observation `[D]`."""
        observation: NDArray[np.float32] = self.lanes.restore(snapshot)[0]
        return observation

    def close(self) -> None:
        """Release the trainer."""
        self.lanes.close()


def _check_one_task(tasks: Any) -> None:
    """Check that a list of tasks, where there is one, holds the one of this environment."""
    if tasks is not None and (not isinstance(tasks, Sequence) or len(tasks) != 1):
        raise ConfigurationError(
            f"a single environment has one task: tasks must be a list of one; got {tasks!r}"
        )


def _unbatch(info: dict[str, Any]) -> dict[str, Any]:
    """Take the only lane out of a vector info, as Python scalars, where its mask is set."""
    single: dict[str, Any] = {}
    for key, value in info.items():
        if key.startswith("_"):
            continue
        if isinstance(value, dict):
            single[key] = _unbatch(value)
        elif info[f"_{key}"][0]:
            entry = value[0]
            single[key] = entry.item() if isinstance(entry, np.generic) else entry
    return single
