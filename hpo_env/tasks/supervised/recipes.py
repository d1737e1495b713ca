"""How the shipped policies of supervised learning are made."""

from __future__ import annotations

from dataclasses import replace

from hpo_env.tasks.base import Recipe

_OPTIMIZER = ("learning_rate", "weight_decay", "momentum")
_COMMON = {
    "preset": "quick",
    "segment_steps": 150_000,
    "num_envs": 384,
    "batch_size": 1536,
    "gae_lambda": 0.96,
    "ent_coef": 0.006,
    "validation_lanes": 256,
}

_ALL = Recipe(
    name="supervised",
    help="all hyperparameters that leave the cost of an update alone, or those that there are",
    runs="supervised",
    settings={
        **_COMMON,
        "steps": 1_200_000,
        "availability": 0.0,
        "hyperparameters": (*_OPTIMIZER, "dropout", "label_smoothing", "gradient_clip"),
    },
)

_LOOPS_ON_TABLES = Recipe(
    name="supervised-loops-on-tables",
    help="what `supervised-loops` begins with: tables, every second one with a clock of its own",
    runs="supervised-loops-on-tables",
    settings={
        **_COMMON,
        "steps": 450_000,
        "hyperparameters": _OPTIMIZER,
        "family_options": {"clock": "mixed", "most_effort": 1e9},
    },
    seeds=(0,),
    members=1,
)
_LOOPS = Recipe(
    name="supervised-loops",
    help="what an optimiser has, for the loops that people write: texts, batch norm, long runs",
    runs="supervised-loops",
    settings={
        **_COMMON,
        "steps": 500_000,
        "segment_steps": 50_000,
        "num_envs": 256,
        "batch_size": 1024,
        "learning_rate": 1.25e-3,
        "validation_lanes": 64,
        "hyperparameters": _OPTIMIZER,
        "family_options": {"modalities": "all", "clock": "mixed", "most_effort": 3e9},
    },
    initial="supervised-loops-on-tables",
    seeds=(0,),
    members=1,
)
"""A decision costs what ten of the usual ones cost, so that as many are learned from cheap ones
first."""

RECIPES: tuple[Recipe, ...] = (
    _ALL,
    Recipe(
        name="supervised-optimizer",
        help="what an optimiser has: learning rate, weight decay and momentum",
        runs="supervised-optimizer",
        settings={**_COMMON, "steps": 750_000, "hyperparameters": _OPTIMIZER},
    ),
    replace(_ALL, name="supervised-lr", help="the learning rate alone", keeps=("learning_rate",)),
    _LOOPS_ON_TABLES,
    _LOOPS,
)
