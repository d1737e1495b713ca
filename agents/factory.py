"""From a resolved configuration to the environments and the learner that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hpo_env.errors import ConfigurationError
from hpo_env.sharding import make_vector_env
from hpo_env.tasks.base import Split
from hpo_env.tasks.registry import family_class, make_family

from .config import TrainConfig
from .learners.base import Learner
from .learners.stepping import Env


def pinned(config: TrainConfig) -> TrainConfig:
    """Return the configuration by which its family is found again, elsewhere and on another day.

    Args:
        config: Any; of one that is pinned already, whatever has changed since is refused.

    Raises:
        ConfigurationError: An option of the family cannot be, or cannot be written down.
        DatasetError: A file is gone, or not what it was.
    """
    family = make_family(config.family, **config.family_options)
    pins = family.pinned_options()
    return replace(config, family_options={**config.family_options, **pins}) if pins else config


def moved(config: TrainConfig, options: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration of a run some of whose files have moved, and nothing else.

    Args:
        config: The run's.
        options: Options of the family that say where something is.

    Raises:
        ConfigurationError: An option says something else.
        DatasetError: What is there now is not what the run began with.
    """
    allowed = family_class(config.family).relocatable_options
    refused = sorted(set(options) - set(allowed))
    if refused:
        can = f"only {', '.join(allowed)} can move" if allowed else "none of them can move"
        raise ConfigurationError(
            f"--resume goes on with the run's own family options, of which {can}; got {refused}. "
            "Leave them out, or start a new run"
        )
    return pinned(replace(config, family_options={**config.family_options, **options}))


def make_env(config: TrainConfig, *, split: Split, num_envs: int) -> Env:
    """Build the environment that a learner of this configuration trains or is scored on.

    It trains in its own action mode; it is scored by continuous moves, which is what a policy file
    answers with.

    Args:
        config: A resolved configuration.
        split: "train", "validation" or "test".
        num_envs: Lanes.
    """
    scored: dict[str, Any] = {"action_mode": "continuous", "availability": 1.0}
    arguments = {"availability": config.availability, **config.env_arguments()}
    return make_vector_env(
        num_envs,
        num_workers=min(config.num_workers, num_envs),
        workers=config.workers,
        ray_address=config.ray_address,
        split=split,
        **(arguments if split == "train" else arguments | scored),
    )


def make_learner(config: TrainConfig, env: Env) -> Learner:
    """Build an untrained learner.

    Args:
        config: A resolved configuration.
        env: What `make_env` made for the training split.

    Raises:
        ConfigurationError: It cannot learn in this environment.
        MissingExtraError: It is in a package that is not installed.
    """
    return config.learner(
        config.settings, env, seed=config.seed, total_steps=config.segment_bounds()[-1]
    )
