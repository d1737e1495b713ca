"""Columns of what an interval of a learner measures: `measures`, and what goes into telemetry."""

from __future__ import annotations

from hpo_env.tasks.reinforcement import measures

TELEMETRY = (
    "gradient_norm_first",
    "gradient_norm_last",
    "update_ratio",
    "update_agreement",
)
"""Fields of `Telemetry` that a learner has; all are measured as in any other training, the whole
net's parameters together, and the gradient before it is clipped. The halves of an interval, of
which the agreement is made, are its first `rollouts_per_decision // 2` updates and the others."""

COLUMNS: tuple[str, ...] = (*measures.NAMES, *TELEMETRY)
"""In the kernel's order, `C` of them."""
