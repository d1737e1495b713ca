"""How the shipped policies of forecasters are made."""

from __future__ import annotations

from hpo_env.tasks.base import Recipe

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="forecasting",
        help="factors, lags and shares of a forecaster, chosen while it reads a series once",
        runs="forecasting",
        settings={
            "base_schedule": "constant",
            "steps": 2_500_000,
            "segment_steps": 200_000,
            "num_envs": 512,
            "batch_size": 2048,
            "validation_lanes": 1024,
        },
        members=2,
    ),
)
