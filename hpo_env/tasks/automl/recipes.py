"""How the shipped policy of boosting is made."""

from __future__ import annotations

from hpo_env.tasks.automl.space import LIBRARY_NAMES
from hpo_env.tasks.base import Recipe

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="automl",
        help="rate, tree size, regularisation and sampling of LightGBM, XGBoost and their like",
        runs="automl",
        settings={
            "steps": 450_000,
            "segment_steps": 60_000,
            "validation_lanes": 192,
            "num_envs": 256,
            "n_steps": 40,
            "batch_size": 1280,
            "n_epochs": 6,
            "gae_lambda": 0.95,
            "ent_coef": 0.002,
            "learned_start": 0.5,
            "hyperparameters": LIBRARY_NAMES,
        },
        seeds=(0, 1, 2),
        members=2,
    ),
)
"""The learned start makes half of the training episodes, as it is where users begin."""
