"""How a policy of few-shot tasks is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo_env.tasks.base import Recipe

PPO_SETTINGS: Mapping[str, Any] = {
    "n_steps": 15,
    "n_epochs": 8,
    "learning_rate": 1e-3,
    "gamma": 1.0,
    "ent_coef": 0.0,
}
"""A rollout is as long as the longest run; what a run ends with counts as much as what it gains at
once."""

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="few_shot",
        help="rates, decay and temperature of an adaptation to a handful of rows",
        runs="few_shot",
        settings={
            "base_schedule": "constant",
            "steps": 48_000,
            "segment_steps": 12_000,
            "num_envs": 64,
            "validation_lanes": 64,
        },
        seeds=(0,),
        members=1,
    ),
)
