"""The hyperparameters of a policy-gradient learner, under the names that textbooks have for them.

What Stable-Baselines3 calls them, and where a running model reads them, stands in `IN_SB3`.
"""

from __future__ import annotations

from collections.abc import Mapping

from hpo_env.hyperparameters import Hyperparameter

ENTROPY_FLOOR = 1e-5
"""The weight of the entropy has a logarithmic axis, and 0, which is usual, no place on it: a weight
below this is taken for this. In a loss of order 1 it does nothing."""

HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    Hyperparameter(
        name="learning_rate",
        low=1e-5,
        high=1e-1,
        default=3e-4,
        max_step=4.0,
        scheduled=True,
        retreat=-1.0,
        is_always_available=True,
    ),
    Hyperparameter(
        name="discount",
        low=0.8,
        high=0.9999,
        default=0.99,
        max_step=2.5,
        scale="one_minus_log",
        is_always_available=True,
    ),
    Hyperparameter(
        name="gae_lambda",
        low=0.8,
        high=0.999,
        default=0.95,
        max_step=2.0,
        scale="one_minus_log",
    ),
    Hyperparameter(
        name="entropy", low=ENTROPY_FLOOR, high=0.1, default=ENTROPY_FLOOR, max_step=4.0
    ),
    Hyperparameter(name="clip_range", low=0.05, high=0.4, default=0.2, max_step=1.6),
    Hyperparameter(
        name="epochs", low=1, high=20, default=10, max_step=1.6, scale="log_integer", retreat=-0.5
    ),
    Hyperparameter(
        name="batch_size", low=32, high=1024, default=64, max_step=2.0, scale="log_integer"
    ),
    Hyperparameter(name="value_coefficient", low=0.05, high=4.0, default=0.5, max_step=2.0),
    Hyperparameter(name="max_grad_norm", low=0.05, high=10.0, default=0.5, max_step=2.0),
    Hyperparameter(name="reward_scale", low=1e-3, high=1e2, default=1.0, max_step=2.5),
    Hyperparameter(
        name="target_update_interval",
        low=10,
        high=10_000,
        default=10_000,
        max_step=4.0,
        scale="log_integer",
    ),
)
"""In the order of every array of values. The ranges hold what rl-zoo's tuned settings span
(`hyperparams/ppo.yml` of DLR-RM/rl-baselines3-zoo, commit 22e3ff2: lambda .8 to 1, clip range .1 to
.4, 4 to 20 epochs): what lies beyond pays on toys and does harm where episodes are long. An action
of 1 multiplies or divides by `max_step`; on the axes of discount and lambda, their distance from
1. The steps between two copies of DQN's target go from what rl-zoo has for CartPole, 10, to
Stable-Baselines3's default (`hyperparams/dqn.yml`)."""

NAMES: tuple[str, ...] = tuple(h.name for h in HYPERPARAMETERS)

CONTROLLED: tuple[str, ...] = NAMES[:6]
"""What an agent has when nobody asks for more."""

DQN_CONTROLLED = ("learning_rate", "discount", "target_update_interval")
"""What decides most of what DQN learns; beside them it has the size of minibatches, the limit of
gradients and the scale of rewards."""

IN_SB3: Mapping[str, str] = {
    "learning_rate": "lr_schedule",
    "discount": "gamma",
    "gae_lambda": "gae_lambda",
    "entropy": "ent_coef",
    "clip_range": "clip_range",
    "epochs": "n_epochs",
    "batch_size": "batch_size",
    "value_coefficient": "vf_coef",
    "max_grad_norm": "max_grad_norm",
    "reward_scale": "",  # a wrapper's: the model has no such thing
    "target_update_interval": "target_update_interval",
}
"""Attribute of a model of Stable-Baselines3 that `train()` reads. `lr_schedule` and `clip_range`
are schedules, `gamma` and `gae_lambda` stand in `rollout_buffer` a second time."""

LACKS: Mapping[str, tuple[str, ...]] = {
    "ppo": ("target_update_interval",),
    "a2c": ("clip_range", "epochs", "batch_size", "target_update_interval"),
    "dqn": ("gae_lambda", "entropy", "clip_range", "epochs", "value_coefficient"),
}
"""What an algorithm does not have. A2C makes one update of all that was collected."""
