"""A critic that knows the task, beside an actor that does not.

How far a loss can fall depends on the data set far more than on the policy: a return of 0.1 is a
triumph on one and a failure on another. The value network therefore sees, in training only, what
the task is; the actor sees the observation and nothing else, so nothing of this reaches a policy
file.
This takes the differences between tasks out of the advantages without touching the policy that is
optimal (Pinto et al., "Asymmetric actor critic for image-based robot learning", 2018).

Axes: `N` lanes, `D` observation fields, `P` privileged features.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
from torch import Tensor, nn

from hpo_env.reward import log_loss
from hpo_env.seeding import stream
from hpo_env.tasks.base import Task

from .vec_env import unwrap

_WORD_SIZE = 12
"""Width of the code of a name: names get random directions, nearly orthogonal, without a list."""


def describe_task(task: Task) -> NDArray[np.float32]:
    """Describe a task as numbers, whatever its family.

    Numbers are compressed logarithmically; a name becomes a random unit vector that is its own.

    Args:
        task: Any task.

    Returns:
        float32 `[P']`, of the same length for all tasks of a family.
    """
    parts: list[NDArray[np.float64]] = []
    for field in fields(task):
        value = getattr(task, field.name)
        if field.name == "name" or field.name.endswith("seed"):
            continue
        if isinstance(value, str):
            word = stream(0, field.name, value).standard_normal(_WORD_SIZE)
            parts.append(word / np.linalg.norm(word))
        elif isinstance(value, int | float | tuple):
            numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
            parts.append(np.log10(np.abs(numbers) + 1e-6) / 3.0)
    return np.concatenate(parts).astype(np.float32)


class PrivilegedObservations(VecEnvWrapper):
    """Appends `[task, log of the current validation loss]` to the observation.

    Args:
        venv: A bridge to the lanes.
    """

    def __init__(self, venv: VecEnv) -> None:
        self._bridge = unwrap(venv)
        self._lanes = self._bridge.lanes
        task = self._lanes.family.sample(stream(0, "shape"))
        self._tasks: list[Task | None] = [None] * venv.num_envs
        self._features = np.zeros((venv.num_envs, len(describe_task(task)) + 1), np.float32)
        assert isinstance(venv.observation_space, Box)
        self.num_public = venv.observation_space.shape[0]
        size = self.num_public + self._features.shape[1]
        super().__init__(venv, observation_space=Box(-np.inf, np.inf, (size,), np.float32))

    def reset(self) -> NDArray[np.float32]:
        """Start new episodes; returns `[N, D + P]`."""
        observations = self.venv.reset()
        assert isinstance(observations, np.ndarray)
        return self._extend(observations)

    def step_wait(self) -> VecEnvStepReturn:
        """Finish a step; observations are `[N, D + P]`."""
        observations, rewards, ended, infos = self.venv.step_wait()
        assert isinstance(observations, np.ndarray)
        for lane in np.flatnonzero(ended):  # the end has no value: any features will do
            last = infos[lane]["terminal_observation"]
            infos[lane]["terminal_observation"] = np.concatenate([last, self._features[lane]])
        return self._extend(observations), rewards, ended, infos

    def _extend(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        for lane, task in enumerate(self._lanes.tasks):
            if task is not self._tasks[lane]:
                self._tasks[lane] = task
                self._features[lane, :-1] = describe_task(task)
        self._features[:, -1] = log_loss(self._bridge.validation_loss)
        return np.concatenate([observations, self._features], axis=1)


def widen(model: BaseAlgorithm, observations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Append zeros to observations `[N, D]` where the agent expects privileged features, too."""
    shape = model.observation_space.shape
    assert shape is not None
    missing = shape[0] - observations.shape[1]
    return np.pad(observations, ((0, 0), (0, missing)))


class AsymmetricExtractor(MlpExtractor):
    """Hidden layers of actor and critic, of which the actor's see the first `D` entries only."""

    def __init__(
        self, num_public: int, num_all: int, net_arch: list[int], **arguments: Any
    ) -> None:
        super().__init__(num_all, net_arch, **arguments)
        self.num_public = num_public
        actor = MlpExtractor(num_public, net_arch, **arguments)
        self.policy_net: nn.Sequential = actor.policy_net

    def forward_actor(self, features: Tensor) -> Tensor:
        """Compute the actor's last hidden layer from `[N, D + P]`."""
        hidden: Tensor = self.policy_net(features[:, : self.num_public])
        return hidden


class AsymmetricPolicy(ActorCriticPolicy):
    """An actor on the observation, and a critic on observation and task.

    Args:
        num_public: `D`.
    """

    def __init__(self, *args: Any, num_public: int, **kwargs: Any) -> None:
        self.num_public = num_public
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        assert isinstance(self.net_arch, list)
        self.mlp_extractor = AsymmetricExtractor(
            self.num_public,
            self.features_dim,
            net_arch=self.net_arch,
            activation_fn=self.activation_fn,
            device=self.device,
        )

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | {"num_public": self.num_public}
