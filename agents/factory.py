"""Building agents: one row a learning algorithm, from a resolved configuration to a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from agents.actions import JointActions
from agents.config import TrainConfig
from agents.privileged import AsymmetricPolicy, PrivilegedObservations
from agents.sb3_vec_env import SB3VecEnv
from hpo_env.errors import MissingExtraError
from hpo_env.sharding import make_vector_env
from hpo_env.tasks.base import Split

_FINAL_RATE = (
    0.02  # share of the learning rate left at the end; at 0 the last rollouts teach nothing
)
_EXPLORATION_NOISE = 0.2  # TD3's policy is deterministic: a tenth of the action range is added
_EXPLORATION_FRACTION = 0.3  # DQN's random choices fade over this share of the run


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentKind:
    """A learning algorithm.

    Args:
        path: Where its class is, `module:name`.
        policy: Name of the policy network in Stable-Baselines3.
        arguments: What it gets from the configuration, beyond what all agents get.
        is_joint: Whether it knows one `Discrete` action only.
        is_recurrent: Whether its policy has a memory. The policy file holds feed-forward networks,
            so a recurrent policy is trained and scored but not exported.
    """

    path: str
    arguments: Callable[[TrainConfig, VecEnv], dict[str, Any]]
    policy: str = "MlpPolicy"
    is_joint: bool = False
    is_recurrent: bool = False


def _a2c(config: TrainConfig, venv: VecEnv) -> dict[str, Any]:
    return {
        "n_steps": config.n_steps,
        "gae_lambda": config.gae_lambda,
        "ent_coef": config.ent_coef,
    }


def _ppo(config: TrainConfig, venv: VecEnv) -> dict[str, Any]:
    return _a2c(config, venv) | {
        "batch_size": config.batch_size,
        "n_epochs": config.n_epochs,
        "clip_range": config.clip_range,
    }


def _off_policy(config: TrainConfig, venv: VecEnv) -> dict[str, Any]:
    return {
        "batch_size": config.batch_size,
        "buffer_size": config.buffer_size,
        "learning_starts": config.learning_starts,
        "train_freq": 1,
        "gradient_steps": config.gradient_steps,
    }


def _td3(config: TrainConfig, venv: VecEnv) -> dict[str, Any]:
    shape = venv.action_space.shape
    assert shape is not None
    noise = NormalActionNoise(np.zeros(shape), np.full(shape, _EXPLORATION_NOISE))
    return _off_policy(config, venv) | {"action_noise": noise}


def _dqn(config: TrainConfig, venv: VecEnv) -> dict[str, Any]:
    return _off_policy(config, venv) | {
        "exploration_fraction": _EXPLORATION_FRACTION,
        # In env steps; no more often than once a step of all lanes, below which SB3 warns.
        "target_update_interval": max(2_000, venv.num_envs),
    }


AGENTS: dict[str, AgentKind] = {
    "ppo": AgentKind(path="stable_baselines3:PPO", arguments=_ppo),
    "a2c": AgentKind(path="stable_baselines3:A2C", arguments=_a2c),
    "sac": AgentKind(path="stable_baselines3:SAC", arguments=_off_policy),
    "td3": AgentKind(path="stable_baselines3:TD3", arguments=_td3),
    "dqn": AgentKind(path="stable_baselines3:DQN", arguments=_dqn, is_joint=True),
    "tqc": AgentKind(path="sb3_contrib:TQC", arguments=_off_policy),
    "recurrent_ppo": AgentKind(
        path="sb3_contrib:RecurrentPPO",
        arguments=_ppo,
        policy="MlpLstmPolicy",
        is_recurrent=True,
    ),
}


def make_venv(config: TrainConfig, *, split: Split, num_envs: int) -> VecEnv:
    """Build the environment that an agent of this configuration trains or is scored on.

    It trains in its own action mode; it is scored by continuous moves, which is what a policy file
    answers with.

    Args:
        config: A resolved configuration.
        split: "train", "validation" or "test".
        num_envs: Lanes.

    Raises:
        ConfigurationError: The action space has too many combinations for the agent.
    """
    trains = split == "train"
    scored: dict[str, Any] = {} if trains else {"action_mode": "continuous", "availability": 1.0}
    arguments = {"availability": config.availability, **config.env_arguments(), **scored}
    lanes = make_vector_env(
        num_envs,
        num_workers=min(config.num_workers, num_envs),
        workers=config.workers,
        ray_address=config.ray_address,
        split=split,
        **arguments,
    )
    venv: VecEnv = SB3VecEnv(lanes)
    if AGENTS[config.agent].is_joint and trains:
        venv = JointActions(venv)
    return PrivilegedObservations(venv) if config.critic == "task" else venv


def make_model(config: TrainConfig, venv: VecEnv) -> BaseAlgorithm:
    """Build an untrained agent.

    Args:
        config: A resolved configuration.
        venv: What `make_venv` made for the training split.

    Raises:
        MissingExtraError: The agent is in a package that is not installed.
    """
    kind = AGENTS[config.agent]
    assert config.learning_rate is not None
    assert config.net_arch is not None
    model_class = over_whole_run(_load(kind.path))
    policy_kwargs: dict[str, Any] = {"net_arch": list(config.net_arch)}
    policy: str | type[AsymmetricPolicy] = kind.policy
    if isinstance(venv, PrivilegedObservations):
        policy = AsymmetricPolicy
        policy_kwargs["num_public"] = venv.num_public
    model = model_class(
        policy,
        venv,
        learning_rate=LinearSchedule(config.learning_rate, _FINAL_RATE * config.learning_rate, 1.0),
        gamma=config.gamma,
        policy_kwargs=policy_kwargs,
        seed=segment_seed(config.seed, 0),
        device="cpu",
        **kind.arguments(config, venv),
    )
    model.whole_run_steps = config.segment_bounds()[-1]
    assert isinstance(model, BaseAlgorithm)
    return model


def segment_seed(seed: int, segment: int) -> int:
    """Return the seed of all random streams of a segment.

    Args:
        seed: The run's seed.
        segment: Number of the segment, from 1; 0 is the drawing of the initial weights.
    """
    return int(np.random.SeedSequence([seed, segment]).generate_state(1)[0])


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
