"""The hyperparameters of supervised training, in the order of every array's columns.

Apart from the family, so that trainers know their columns without knowing what draws the tasks.
"""

from __future__ import annotations

from hpo_env.hyperparameters import Hyperparameter

MAX_BATCH_SIZE = 256
"""Rows of a minibatch at most. An update costs what the rows in use cost, not these."""
DEFAULT_BATCH_SIZE = 64

HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    Hyperparameter(
        name="learning_rate",
        low=1e-6,
        high=1.0,
        default=1e-3,
        max_step=4.0,
        scheduled=True,
        retreat=-1.0,
        is_always_available=True,
    ),
    Hyperparameter(name="weight_decay", low=1e-6, high=1e-1, default=1e-4, max_step=4.0),
    Hyperparameter(
        name="momentum",
        low=0.0,
        high=0.999,
        default=0.9,
        max_step=2.0,
        scale="one_minus_log",
    ),
    Hyperparameter(
        name="batch_size",
        low=8.0,
        high=float(MAX_BATCH_SIZE),
        default=float(DEFAULT_BATCH_SIZE),
        max_step=2.0,
        scale="log_integer",
    ),
    Hyperparameter(name="dropout", low=0.0, high=0.5, default=0.0, max_step=0.1, scale="linear"),
    Hyperparameter(
        name="label_smoothing", low=0.0, high=0.3, default=0.0, max_step=0.05, scale="linear"
    ),
    # A gradient norm of 100 is not seen in runs that go well: the default clips nothing.
    Hyperparameter(name="gradient_clip", low=1e-2, high=1e2, default=1e2, max_step=4.0),
)
