"""The agents of Stable-Baselines3 as learners: a class an algorithm, over one that does it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from hpo_env.errors import MissingExtraError
from hpo_env.policy import Policy

from .actions import JointActions
from .base import Learner, State, Watcher, segment_seed
from .extraction import extract_policy, insert_policy
from .moves import deterministic_moves
from .privileged import AsymmetricPolicy, PrivilegedObservations, widen
from .sb3_state import read_state, write_state, write_weights
from .sb3_watching import ActorHeld, Forwarding, Watched
from .settings import (
    A2CSettings,
    DQNSettings,
    OffPolicySettings,
    PPOSettings,
    RecurrentPPOSettings,
)
from .stepping import Array, Env
from .vec_env import SB3VecEnv

_FINAL_RATE = (
    0.02  # share of the learning rate left at the end; at 0 the last rollouts teach nothing
)
_EXPLORATION_NOISE = 0.2  # TD3's policy is deterministic: a tenth of the action range is added
_EXPLORATION_FRACTION = 0.3  # DQN's random choices fade over this share of the run
_RATE_ALONE = 4.0
"""Factor on the rate while the critic learns alone: one that is low for the sake of what the actor
knows is too low for a critic that knows nothing."""
_NEVER = 2**62  # Stable-Baselines3's own logging stays silent: the watcher decides on points


class SB3Learner(Learner):
    """An agent of Stable-Baselines3; arguments are those of `Learner`.

    A subclass says which, and what it gets from its settings (`arguments`).
    """

    path: ClassVar[str]
    """Where the algorithm's class is, `module:name`."""

    network: ClassVar[str] = "MlpPolicy"
    """Name of the policy network in Stable-Baselines3."""

    is_perceptron: ClassVar[bool] = False
    """Whether what acts is a plain perceptron, as the networks of policy files are."""

    def __init__(self, settings: Any, env: Env, *, seed: int, total_steps: int) -> None:
        self._seed = seed
        self._env = env
        self.venv = self.wrapped(SB3VecEnv(env), settings)
        model_class = over_whole_run(_load(self.path))
        policy_kwargs: dict[str, Any] = {"net_arch": list(settings.net_arch)}
        network: str | type[AsymmetricPolicy] = self.network
        if isinstance(self.venv, PrivilegedObservations):
            network = AsymmetricPolicy
            policy_kwargs["num_public"] = self.venv.num_public
        model = model_class(
            network,
            self.venv,
            learning_rate=self.rate(settings, total_steps),
            gamma=settings.gamma,
            policy_kwargs=policy_kwargs,
            seed=segment_seed(seed, 0),
            device="cpu",
            **self.arguments(settings, self.venv),
        )
        model.whole_run_steps = total_steps
        assert isinstance(model, BaseAlgorithm)
        self.model: BaseAlgorithm = model

    @classmethod
    def arguments(cls, settings: Any, venv: VecEnv) -> dict[str, Any]:
        """Return what the algorithm gets, beyond what all get."""
        raise NotImplementedError

    @classmethod
    def rate(cls, settings: Any, total_steps: int) -> Callable[[float], float]:
        """Return the learning rate as a function of the share of the run that is left."""
        highest = settings.learning_rate
        return LinearSchedule(highest, _FINAL_RATE * highest, 1.0)

    @classmethod
    def wrapped(cls, venv: VecEnv, settings: Any) -> VecEnv:
        """Return the environment as the algorithm sees it."""
        return venv

    @property
    def num_steps(self) -> int:
        """See `Learner.num_steps`."""
        return int(self.model.num_timesteps)

    def learn(self, until_steps: int, watcher: Watcher) -> None:
        """See `Learner.learn`."""
        self.model.set_logger(Forwarding(watcher))
        self.model.learn(
            until_steps - self.num_steps,
            callback=self.callback(watcher),
            log_interval=_NEVER,
            reset_num_timesteps=False,
        )

    def callback(self, watcher: Watcher) -> BaseCallback:
        """Return what is called while the algorithm runs."""
        return Watched(watcher)

    def moves(
        self, observations: NDArray[np.float32], state: Any, starts: NDArray[np.bool_]
    ) -> tuple[Array, Any]:
        """See `Learner.moves`; privileged features do not matter to the actor, and are 0."""
        return deterministic_moves(
            self.model,
            widen(self.model, observations),
            len(self._env.controlled),
            state=state,
            starts=starts,
        )

    def seed(self, segment: int) -> None:
        """See `Learner.seed`."""
        # Python, numpy, torch, action space and lanes
        self.model.set_random_seed(segment_seed(self._seed, segment))
        self.model._last_obs = None  # so that `learn` resets the lanes

    def state(self) -> State:
        """See `Learner.state`."""
        return read_state(self.model)

    def load(self, state: Mapping[str, Any]) -> None:
        """See `Learner.load`."""
        write_state(self.model, state)

    def begin_with(self, state: Mapping[str, Any]) -> None:
        """See `Learner.begin_with`."""
        write_weights(self.model, state)

    def begin_with_policy(self, policy: Policy) -> None:
        """See `Learner.begin_with_policy`."""
        if not self.is_perceptron:
            super().begin_with_policy(policy)
        insert_policy(self.model, policy)

    def policy(self, metadata: Mapping[str, object]) -> Policy:
        """See `Learner.policy`."""
        return extract_policy(self.model, self._env, metadata=metadata)


class A2C(SB3Learner):
    """Advantage actor-critic (Mnih et al., 2016)."""

    name = "a2c"
    path = "stable_baselines3:A2C"
    settings = A2CSettings
    is_perceptron = True
    action_modes = ("discrete", "continuous")

    @classmethod
    def arguments(cls, settings: A2CSettings, venv: VecEnv) -> dict[str, Any]:
        """Return rollout, advantages and entropy."""
        return {
            "n_steps": settings.n_steps,
            "gae_lambda": settings.gae_lambda,
            "ent_coef": settings.ent_coef,
        }

    @classmethod
    def wrapped(cls, venv: VecEnv, settings: A2CSettings) -> VecEnv:
        """Show the critic what it asks for."""
        return PrivilegedObservations(venv) if settings.critic == "task" else venv


class _Clipped(SB3Learner):
    action_modes = ("discrete", "continuous")

    def __init__(self, settings: Any, env: Env, *, seed: int, total_steps: int) -> None:
        super().__init__(settings, env, seed=seed, total_steps=total_steps)
        self._critic_steps = settings.critic_steps

    @classmethod
    def rate(cls, settings: Any, total_steps: int) -> Callable[[float], float]:
        """See `SB3Learner.rate`; a critic that learns alone learns at its own."""
        usual = super().rate(settings, total_steps)
        alone = settings.critic_steps / total_steps

        def rate(remaining: float) -> float:
            factor = _RATE_ALONE if 1.0 - remaining <= alone else 1.0
            return factor * usual(remaining)

        return rate if settings.critic_steps else usual

    def callback(self, watcher: Watcher) -> BaseCallback:
        """See `SB3Learner.callback`; for the first steps the actor is held."""
        watched = super().callback(watcher)
        held = ActorHeld(self._critic_steps)
        return CallbackList([watched, held]) if self._critic_steps else watched

    @classmethod
    def arguments(
        cls, settings: PPOSettings | RecurrentPPOSettings, venv: VecEnv
    ) -> dict[str, Any]:
        """Return rollout, advantages, entropy and updates."""
        return {
            "n_steps": settings.n_steps,
            "gae_lambda": settings.gae_lambda,
            "ent_coef": settings.ent_coef,
            "batch_size": settings.batch_size,
            "n_epochs": settings.n_epochs,
            "clip_range": settings.clip_range,
            "target_kl": settings.target_kl,
        }


class PPO(_Clipped):
    """Proximal policy optimisation (Schulman et al., 2017)."""

    name = "ppo"
    path = "stable_baselines3:PPO"
    settings = PPOSettings
    is_perceptron = True

    @classmethod
    def wrapped(cls, venv: VecEnv, settings: PPOSettings) -> VecEnv:
        """Show the critic what it asks for."""
        return PrivilegedObservations(venv) if settings.critic == "task" else venv


class RecurrentPPO(_Clipped):
    """PPO whose policy has a memory, an LSTM."""

    name = "recurrent_ppo"
    path = "sb3_contrib:RecurrentPPO"
    network = "MlpLstmPolicy"
    settings = RecurrentPPOSettings

    def seed(self, segment: int) -> None:
        """See `Learner.seed`."""
        super().seed(segment)
        model: Any = self.model
        states = model._last_lstm_states
        if states is not None:
            zeros = (tuple(torch.zeros_like(s) for s in part) for part in states)
            model._last_lstm_states = type(states)(*zeros)


class _OffPolicy(SB3Learner):
    settings = OffPolicySettings

    @classmethod
    def arguments(cls, settings: OffPolicySettings, venv: VecEnv) -> dict[str, Any]:
        """Return buffer and updates."""
        return {
            "batch_size": settings.batch_size,
            "buffer_size": settings.buffer_size,
            "learning_starts": settings.learning_starts,
            "train_freq": 1,
            "gradient_steps": settings.gradient_steps,
        }


class SAC(_OffPolicy):
    """Soft actor-critic (Haarnoja et al., 2018)."""

    name = "sac"
    path = "stable_baselines3:SAC"


class TD3(_OffPolicy):
    """Twin delayed deterministic policy gradient (Fujimoto et al., 2018)."""

    name = "td3"
    path = "stable_baselines3:TD3"

    @classmethod
    def arguments(cls, settings: OffPolicySettings, venv: VecEnv) -> dict[str, Any]:
        """Return buffer, updates and exploration."""
        shape = venv.action_space.shape
        assert shape is not None
        noise = NormalActionNoise(np.zeros(shape), np.full(shape, _EXPLORATION_NOISE))
        return super().arguments(settings, venv) | {"action_noise": noise}


class TQC(_OffPolicy):
    """Truncated quantile critics (Kuznetsov et al., 2020)."""

    name = "tqc"
    path = "sb3_contrib:TQC"


class DQN(_OffPolicy):
    """Deep Q-network (Mnih et al., 2015), over every combination of choices."""

    name = "dqn"
    path = "stable_baselines3:DQN"
    settings = DQNSettings
    action_modes = ("discrete",)

    @classmethod
    def arguments(cls, settings: OffPolicySettings, venv: VecEnv) -> dict[str, Any]:
        """Return buffer, updates and exploration."""
        return super().arguments(settings, venv) | {
            "exploration_fraction": _EXPLORATION_FRACTION,
            # In env steps; no more often than once a step of all lanes, below which SB3 warns.
            "target_update_interval": max(2_000, venv.num_envs),
        }

    @classmethod
    def wrapped(cls, venv: VecEnv, settings: OffPolicySettings) -> VecEnv:
        """Join the choices."""
        return JointActions(venv)


def over_whole_run(model_class: type[BaseAlgorithm]) -> Any:
    """Derive a class whose schedules run over the whole training and not over one `learn()` call.

    Stable-Baselines3 counts progress up to the end of the current call, so that annealing would
    start again in every segment.
    """

    def progress(self: Any, num_timesteps: int, total_timesteps: int) -> None:
        remaining = 1.0 - num_timesteps / self.whole_run_steps
        self._current_progress_remaining = max(remaining, 0.0)

    attributes = {"_update_current_progress_remaining": progress, "whole_run_steps": 1}
    return type(model_class.__name__, (model_class,), attributes)


def _load(path: str) -> type[BaseAlgorithm]:
    module, _, name = path.partition(":")
    try:
        loaded = getattr(import_module(module), name)
    except ImportError as error:
        if module != "sb3_contrib":
            raise
        raise MissingExtraError(
            f"{name} is in sb3-contrib, which is not installed; "
            "install it with: pip install 'hpo-control[contrib]'"
        ) from error
    assert isinstance(loaded, type)
    assert issubclass(loaded, BaseAlgorithm)
    return loaded
