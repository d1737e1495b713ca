"""Policies of known behaviour, for suites and tests that do not care how good one is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpo_env.hyperparameters import LEVELS
from hpo_env.observation import field_names
from hpo_env.policy import Policy
from hpo_env.seeding import stream
from hpo_env.tasks.registry import family_class


def steady_policy(
    family: str, names: Sequence[str], *, level: float = 0.0, base_schedule: str = "cosine"
) -> Policy:
    """Make a policy that makes the same move of every hyperparameter, whatever it sees.

    Args:
        family: Its task family.
        names: The hyperparameters that it moves.
        level: The move, one of `hpo_env.hyperparameters.LEVELS`.
        base_schedule: What it corrects.
    """
    return _policy(family, names, weight=0.0, level=level, base_schedule=base_schedule)


def linear_policy(family: str, names: Sequence[str], *, base_schedule: str = "cosine") -> Policy:
    """Make a policy whose moves depend on everything that it sees."""
    return _policy(family, names, weight=1.0, level=0.0, base_schedule=base_schedule)


def _policy(
    family: str, names: Sequence[str], *, weight: float, level: float, base_schedule: str
) -> Policy:
    known = family_class(family)
    space = known().space.subset(names)
    num_fields = len(field_names(space.names)) + len(known.features)
    shape = (len(space) * len(LEVELS), num_fields)
    weights = weight * stream(0, "weights").normal(size=shape)
    firmness = 100.0 if weight == 0.0 else 1.0  # the mean move is the level where it is certain
    return Policy(
        family=family,
        loss_floor=known.loss_floor,
        features=tuple(known.features),
        space=space,
        base_schedule=base_schedule,
        head="choices",
        activation="tanh",
        weights=(weights.astype(np.float32),),
        biases=(np.tile(firmness * np.equal(LEVELS, level), len(space)).astype(np.float32),),
    )
