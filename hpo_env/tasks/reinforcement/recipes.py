"""How the shipped policy of agents is made."""

from __future__ import annotations

from typing import Any

from hpo_env.tasks.base import Recipe
from hpo_env.tasks.reinforcement.space import DQN_CONTROLLED

PPO_SETTINGS: dict[str, Any] = {
    "n_steps": 20,
    "n_epochs": 6,
    "learning_rate": 2e-3,
    "gamma": 0.95,
    "gae_lambda": 0.9,
    "ent_coef": 0.001,
}
"""A discount far from 1 has the whole curve count, and not its end alone; what a run's return is
worth differs by far more between environments than between moves, so returns are short."""

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="reinforcement",
        help="rate, discount, lambda, entropy, clip range and epochs of PPO and A2C",
        runs="reinforcement",
        settings={
            "num_envs": 256,
            "steps": 307_200,
            "segment_steps": 51_200,
            "validation_lanes": 64,
            "family_options": {"is_wide": True},
            "batch_size": 1024,
            "learned_start": 0.15,
            "availability": 0.9,
            **PPO_SETTINGS,
        },
        seeds=(0, 1),
        members=2,
        lowest={"learning_rate": 3e-4},
        most_decisions={"gae_lambda": 50, "epochs": 50},
    ),
    Recipe(
        name="reinforcement-dqn",
        help="rate, discount and interval between copies of the target of DQN",
        runs="reinforcement-dqn",
        settings={
            "num_envs": 128,
            "steps": 102_400,
            "segment_steps": 25_600,
            "validation_lanes": 64,
            "hyperparameters": DQN_CONTROLLED,
            "family_options": {"algorithm": "dqn", "is_wide": True},
            "batch_size": 512,
            "learned_start": 0.15,
            **PPO_SETTINGS,
        },
        seeds=(0,),
        members=1,
    ),
)
"""With what the family draws itself, a third of the episodes begin at the learned start and a sixth
near it: there nothing may be broken. The others begin at defaults and anywhere."""
