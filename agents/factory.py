"""From a resolved configuration to the environments and the learner that it asks for."""

from __future__ import annotations

from typing import Any

from agents.config import TrainConfig
from agents.learners.base import Learner
from agents.learners.registry import learner_class
from agents.learners.stepping import Env
from hpo_env.sharding import make_vector_env
from hpo_env.tasks.base import Split


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
    return learner_class(config.agent)(
        config.settings, env, seed=config.seed, total_steps=config.segment_bounds()[-1]
    )
