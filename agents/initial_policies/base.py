"""A policy that is to be adapted, as a learner: rounds of adaptation, then a better start.

The lanes are split into groups, each on one data set. In a round each group's policy starts from
the weights that are learned, acts, is adapted to what it went through, and acts again; then the
algorithm says where the weights should go. The network is that of the agent `ppo`, and so are
policy files; weights of a joint meta-training can be begun with, and the other way round.

Axes: `G` groups, a data set each; `N` lanes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy

from hpo_env.policy import Policy
from hpo_env.seeding import stream

from ..adaptation.networks import Parameters
from ..learners.base import Learner, State, Watcher, segment_seed
from ..learners.sb3 import PPO
from ..learners.settings import PPOSettings
from ..learners.stepping import Array, Env
from .data_sets import draw_groups
from .objective import Objective
from .rollouts import Collector, Rollout
from .settings import InitialPolicySettings

_FINAL_RATE = 0.02  # share of rates that is left at the end, as in joint training
_NETWORK, _META, _COUNTER = "policy/", "meta/", "counters/num_timesteps"


class Visit(NamedTuple):
    """What one data set gave in a round.

    Attributes:
        rollouts: What was adapted to, in order.
        adapted: The parameters after that.
        query: What the adapted policy went through; None where the algorithm does not ask.
    """

    rollouts: Sequence[Rollout]
    adapted: Parameters
    query: Rollout | None


class InitialPolicy(Learner):
    """See the module; arguments are those of `Learner`."""

    settings: ClassVar[type[InitialPolicySettings]]
    action_modes = ("discrete", "continuous")

    def __init__(
        self, settings: InitialPolicySettings, env: Env, *, seed: int, total_steps: int
    ) -> None:
        size = settings.lanes_per_data_set
        assert size is not None, "settings must be fitted to the number of lanes"
        self._told, self._env, self._seed = settings, env, seed
        self._size, self._total_steps = size, total_steps
        self._num_groups = env.num_envs // size
        like = PPOSettings(
            n_steps=settings.n_steps, net_arch=settings.net_arch, critic=settings.critic
        )
        self._ppo = PPO(like.fitted(env.num_envs), env, seed=seed, total_steps=total_steps)
        policy = self._ppo.model.policy
        assert isinstance(policy, ActorCriticPolicy)
        self.network: Parameters = dict(policy.named_parameters())
        self.extra = self.drawn_extra()
        self.objective = Objective(
            policy, clip_range=settings.clip_range, ent_coef=settings.ent_coef
        )
        self._collector = Collector(
            self._ppo.venv,
            policy,
            num_groups=self._num_groups,
            gamma=settings.gamma,
            gae_lambda=settings.gae_lambda,
        )
        self._num_steps = self._num_rounds = 0
        self.share = 1.0  # of rates; they fall as training goes on
        self.rng = stream(segment_seed(seed, 0), "initial policy")

    # ----------------------------------------------------------------- what an algorithm is made of

    @abstractmethod
    def adapted(
        self, current: Parameters, start: Parameters, rollouts: Sequence[Rollout]
    ) -> Parameters:
        """Adapt to the last of the rollouts.

        Args:
            current: The parameters that acted in it.
            start: Those that the data set's adaptation began with.
            rollouts: All so far.
        """

    @abstractmethod
    def improve(self, visits: Sequence[Visit]) -> Mapping[str, float]:
        """Change what is learned.

        Args:
            visits: One of each data set.

        Returns:
            Measurements, by tag.
        """

    def drawn_extra(self) -> Parameters:
        """Return what is learned besides the network's parameters, as it is at first."""
        return {}

    def own_state(self) -> State:
        """Copy what the algorithm remembers beside parameters; `load_own` is the inverse."""
        return {}

    def load_own(self, state: Mapping[str, Any]) -> None:
        """Put that back.

        Raises:
            KeyError: A part is missing.
            ValueError: A part has another shape.
        """

    # -------------------------------------------------------------------------------- the learner

    @property
    def round_steps(self) -> int:
        """Environment steps of a round."""
        return self._told.rollout_steps(self._env.num_envs)

    @property
    def num_steps(self) -> int:
        """See `Learner.num_steps`."""
        return self._num_steps

    def learn(self, until_steps: int, watcher: Watcher) -> None:
        """See `Learner.learn`."""
        while self._num_steps < until_steps:
            if self._num_rounds % self._told.rounds == 0:
                self._collector.begin(self._drawn_tasks())
            self.share = max(1.0 - self._num_steps / self._total_steps, _FINAL_RATE)
            for tag, value in self.improve(self._visits(watcher)).items():
                watcher.record(tag, value)
            self._num_rounds += 1
        self._ppo.model.num_timesteps = self._num_steps

    def _drawn_tasks(self) -> list[Any]:
        groups = draw_groups(
            self._env.family,
            self.rng,
            num_groups=self._num_groups,
            size=self._size,
            learned_start=self._env.learned_start,
        )
        return [task for group in groups for task in group]

    def _visits(self, watcher: Watcher) -> list[Visit]:
        """Go through a round in all lanes."""
        start = {name: value.detach().clone() for name, value in self.network.items()}
        policies = [start] * self._num_groups
        of_groups: list[list[Rollout]] = [[] for _ in policies]
        for _ in range(self._told.inner_rollouts):
            for rollouts, rollout in zip(of_groups, self._acted(policies, watcher), strict=True):
                rollouts.append(rollout)
            policies = [
                self.adapted(current, start, rollouts)
                for current, rollouts in zip(policies, of_groups, strict=True)
            ]
        asked: Sequence[Rollout | None] = [None] * self._num_groups
        if self._told.is_asked_after:
            asked = self._acted(policies, watcher)
        return [Visit(*parts) for parts in zip(of_groups, policies, asked, strict=True)]

    def _acted(self, policies: Sequence[Parameters], watcher: Watcher) -> list[Rollout]:
        rollouts = self._collector.collect(policies, self._told.n_steps, watcher, self._num_steps)
        self._num_steps += self._told.n_steps * self._env.num_envs
        watcher.rolled_out(self._num_steps)
        return rollouts

    def moves(
        self, observations: NDArray[np.float32], state: Any, starts: NDArray[np.bool_]
    ) -> tuple[Array, Any]:
        """See `Learner.moves`: those of the initial policy, adapted to nothing."""
        return self._ppo.moves(observations, state, starts)

    def seed(self, segment: int) -> None:
        """See `Learner.seed`."""
        self._ppo.seed(segment)
        self.rng = stream(segment_seed(self._seed, segment), "initial policy")
        self._num_rounds = 0  # other data sets

    def state(self) -> State:
        """See `Learner.state`; the network's parameters are called as the agent calls them."""
        named = [(_NETWORK, self.network), (_META, self.extra)]
        arrays: State = {
            prefix + name: value.detach().numpy().copy()
            for prefix, parameters in named
            for name, value in parameters.items()
        }
        return {**arrays, **self.own_state(), _COUNTER: self._num_steps}

    def load(self, state: Mapping[str, Any]) -> None:
        """See `Learner.load`."""
        self.begin_with(state)
        _write(self.extra, state, _META)
        self.load_own(state)
        self._num_steps = int(state[_COUNTER])
        self._ppo.model.num_timesteps = self._num_steps

    def begin_with(self, state: Mapping[str, Any]) -> None:
        """See `Learner.begin_with`; those of the agent will do."""
        _write(self.network, state, _NETWORK)

    def policy(self, metadata: Mapping[str, object]) -> Policy:
        """See `Learner.policy`."""
        return self._ppo.policy(metadata)


def _write(parameters: Parameters, state: Mapping[str, Any], prefix: str) -> None:
    for name, value in parameters.items():
        array = np.asarray(state[prefix + name])
        if array.shape != tuple(value.shape):
            raise ValueError(f"{name} has shape {array.shape} in place of {tuple(value.shape)}")
        with torch.no_grad():
            value.copy_(torch.from_numpy(array.copy()))
