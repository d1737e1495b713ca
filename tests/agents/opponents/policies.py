"""Policies of known behaviour, for opponents that need one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpo_env.hyperparameters import LEVELS
from hpo_env.observation import field_names
from hpo_env.policy import Policy
from hpo_env.seeding import stream
from hpo_env.tasks.registry import make_family


def steady_policy(
    family: str,
    hyperparameters: Sequence[str],
    *,
    level: float = 0.0,
    base_schedule: str = "cosine",
) -> Policy:
    """Make a policy that makes the same move of every hyperparameter, whatever it sees."""
    return _policy(family, hyperparameters, weight=0.0, level=level, base_schedule=base_schedule)


def linear_policy(family: str, hyperparameters: Sequence[str]) -> Policy:
    """Make a policy whose moves depend on everything that it sees."""
    return _policy(family, hyperparameters, weight=1.0, level=0.0, base_schedule="cosine")


def _policy(
    family: str, hyperparameters: Sequence[str], *, weight: float, level: float, base_schedule: str
) -> Policy:
    space = make_family(family).space.subset(hyperparameters)
    shape = (len(space) * len(LEVELS), len(field_names(space.names)))
    weights = weight * stream(0, "weights").normal(size=shape)
    firmness = 100.0 if weight == 0.0 else 1.0  # the mean move is the level where it is certain
    return Policy(
        family=family,
        space=space,
        base_schedule=base_schedule,
        head="choices",
        activation="tanh",
        weights=(weights.astype(np.float32),),
        biases=(np.tile(firmness * np.equal(LEVELS, level), len(space)).astype(np.float32),),
    )
