"""The hyperparameters of an adaptation."""

from __future__ import annotations

from hpo_env.hyperparameters import Hyperparameter

HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    Hyperparameter(
        name="inner_rate",
        low=1e-3,
        high=1e2,
        default=1.0,
        max_step=2.5,
        scheduled=True,
        retreat=-1.0,
        is_always_available=True,
    ),
    Hyperparameter(name="trunk_rate", low=1e-2, high=1e1, default=1.0, max_step=2.0, retreat=-0.5),
    Hyperparameter(name="weight_decay", low=1e-3, high=1e1, default=1e-3, max_step=3.0),
    Hyperparameter(name="temperature", low=0.1, high=10.0, default=1.0, max_step=1.5),
)
"""In the order of every array of values.

- inner_rate: what the initialisation's own rates, one a layer, are multiplied by; at 1 they are as
  learned.
- trunk_rate: what those of the trunk are multiplied by besides; the head's are not.
- weight_decay: pull towards the initialisation, not towards 0, where what was learned lies: the
  proximal term of implicit MAML (Rajeswaran et al. 2019). The least is next to none.
- temperature: what logits are divided by, in adaptation and in prediction. Values have none.
"""

NAMES: tuple[str, ...] = tuple(h.name for h in HYPERPARAMETERS)

INNER_RATE, TRUNK_RATE, WEIGHT_DECAY, TEMPERATURE = range(len(NAMES))
"""Columns."""
