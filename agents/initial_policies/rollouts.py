"""Rollouts of several policies at once, one for each data set, in the lanes of one environment.

Axes: `N` lanes, `G` groups of lanes, `L = N / G` lanes of a group, `T` steps, `R = L * T` rows,
`D` observation fields, privileged ones included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch.func import functional_call

from ..adaptation.networks import Parameters
from ..learners.base import Watcher
from ..learners.vec_env import unwrap


class Rollout(NamedTuple):
    """What one group of lanes went through.

    Attributes:
        observations: float32 `[R, D]`.
        actions: As the environment takes them, `[R, ...]`.
        log_probs: Of the actions under the policy that drew them, `[R]`.
        advantages: Generalised advantage estimates, of mean 0 and standard deviation 1, `[R]`.
        returns: What the critic should say, `[R]`.
    """

    observations: torch.Tensor
    actions: torch.Tensor
    log_probs: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor

    def rows(self, chosen: torch.Tensor) -> Rollout:
        """Return some of the rows."""
        return Rollout(*(part[chosen] for part in self))


class Collector:
    """Lanes in which groups of policies act, and go on acting.

    Args:
        venv: The lanes, as an agent of Stable-Baselines3 sees them.
        policy: The network that parameters are put into.
        num_groups: `G`.
        gamma: Discount.
        gae_lambda: Weight of longer returns.
    """

    def __init__(
        self,
        venv: VecEnv,
        policy: ActorCriticPolicy,
        *,
        num_groups: int,
        gamma: float,
        gae_lambda: float,
    ) -> None:
        self._venv, self._policy = venv, policy
        self._lanes = np.split(np.arange(venv.num_envs), num_groups)
        self._gamma, self._gae_lambda = gamma, gae_lambda
        self._observations: NDArray[np.float32] = np.zeros(0, np.float32)

    def begin(self, tasks: Sequence[Any]) -> None:
        """Begin a run of each task, and go on with it from now on, a task a lane."""
        self._venv.set_options([{"task": task} for task in tasks])
        observations = self._venv.reset()
        assert isinstance(observations, np.ndarray)
        self._observations = observations

    def collect(
        self, of_groups: Sequence[Parameters], num_steps: int, watcher: Watcher, done: int
    ) -> list[Rollout]:
        """Let each group's policy act.

        Args:
            of_groups: The parameters of each group's policy.
            num_steps: `T`.
            watcher: Is told of every step.
            done: Environment steps before.

        Returns:
            A rollout for each group.
        """
        seen, acted, likely, valued, earned, ended = [], [], [], [], [], []
        for step in range(num_steps):
            seen.append(torch.from_numpy(self._observations))
            actions, values, log_probs = self._act(of_groups, seen[-1])
            acted.append(actions)
            valued.append(values)
            likely.append(log_probs)
            observations, rewards, ends, _ = self._venv.step(self._taken(actions))
            assert isinstance(observations, np.ndarray)
            self._observations = observations
            earned.append(torch.from_numpy(rewards))
            ended.append(torch.from_numpy(ends))
            last = unwrap(self._venv).last
            assert last is not None
            watcher.stepped(last, done + (step + 1) * self._venv.num_envs)
        _, following, _ = self._act(of_groups, torch.from_numpy(self._observations))
        values = torch.stack([*valued, following])
        advantages = advantages_of(
            torch.stack(earned), values, torch.stack(ended), self._gamma, self._gae_lambda
        )
        parts = (
            *(torch.stack(part) for part in (seen, acted, likely)),
            advantages,
            advantages + values[:-1],
        )
        return [self._of_group(lanes, parts) for lanes in self._lanes]

    def _act(
        self, of_groups: Sequence[Parameters], observations: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw actions `[N, ...]`; their values and log probabilities `[N]`."""
        parts = []
        with torch.no_grad():
            for parameters, lanes in zip(of_groups, self._lanes, strict=True):
                parts.append(functional_call(self._policy, parameters, (observations[lanes],)))
        actions, values, log_probs = (torch.cat(part) for part in zip(*parts, strict=True))
        return actions, values.flatten(), log_probs

    def _taken(self, actions: torch.Tensor) -> NDArray[Any]:
        """Return actions as the environment takes them: those of a Gaussian may lie outside."""
        space, array = self._venv.action_space, actions.numpy()
        low, high = getattr(space, "low", None), getattr(space, "high", None)
        return array if low is None else np.clip(array, low, high)

    @staticmethod
    def _of_group(lanes: NDArray[np.int64], parts: Sequence[torch.Tensor]) -> Rollout:
        rollout = Rollout(*(part[:, lanes].flatten(0, 1) for part in parts))
        advantages = rollout.advantages
        spread = advantages.std() + 1e-8  # as in Stable-Baselines3
        return rollout._replace(advantages=(advantages - advantages.mean()) / spread)


def advantages_of(
    rewards: torch.Tensor,
    values: torch.Tensor,
    ended: torch.Tensor,
    gamma: float,
    gae_lambda: float,
) -> torch.Tensor:
    """Estimate advantages `[T, N]` (Schulman et al., "High-dimensional continuous control", 2016).

    Args:
        rewards: `[T, N]`.
        values: Of the states before each step and after the last, `[T + 1, N]`.
        ended: Whether an episode ended with the step, bool `[T, N]`.
        gamma: Discount.
        gae_lambda: Weight of longer returns.

    Example:
        >>> one = torch.ones(2, 1)
        >>> advantages_of(one, torch.zeros(3, 1), one < 0, gamma=1.0, gae_lambda=1.0).flatten()
        tensor([2., 1.])
    """
    goes_on = (~ended).to(values.dtype)
    advantages = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[0])
    for step in reversed(range(len(rewards))):
        surprise = rewards[step] + gamma * goes_on[step] * values[step + 1] - values[step]
        following = surprise + gamma * gae_lambda * goes_on[step] * following
        advantages[step] = following
    return advantages
