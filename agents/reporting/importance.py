"""Which observations decide: how actions change with a field, and without what it says.

Both look at what the policy does, and not at what comes of it: a field can move actions much and
outcomes little.

Axes: `S` observations that were seen, `D` fields, `H` hyperparameters, `G` points of a field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.policy import Policy
from hpo_env.seeding import stream

Array = NDArray[np.float64]

_MAX_SEEN = 2_000  # more observations than this change the third digit at most
_NUM_POINTS = 21


@dataclass(frozen=True, kw_only=True, eq=False)
class Dependence:
    """How the mean action follows one field.

    Args:
        field: Its name.
        points: Values of the field `[G]`, between the 1 % and the 99 % quantile of those seen.
        actions: Mean action where the field is set to each of them in all observations `[G, H]`.
        low: 10 % quantile of the values seen.
        high: 90 % quantile.
    """

    field: str
    points: Array
    actions: Array
    low: float
    high: float


def permutation_importance(policy: Policy, seen: Array, *, seed: int = 0) -> Array:
    """Measure how far actions change when a field's values are shuffled among observations.

    Breiman, "Random Forests" (2001), section 10, with the policy's own action as the target.

    Args:
        policy: What decides.
        seen: `[S, D]`.
        seed: From which the shuffling follows.

    Returns:
        Mean absolute change of each action `[D, H]`, 0 where a field does not matter.
    """
    seen = thin(seen)
    rng = stream(seed, "permutation importance")
    usual = policy.act(seen)
    changes = []
    for column in range(seen.shape[1]):
        shuffled = seen.copy()
        shuffled[:, column] = rng.permutation(seen[:, column])
        changes.append(np.abs(policy.act(shuffled) - usual).mean(axis=0))
    return np.stack(changes)


def partial_dependence(policy: Policy, seen: Array, field: str) -> Dependence:
    """Measure the mean action as a function of one field, all others as they were seen.

    Friedman, "Greedy function approximation" (2001), section 8.2.

    Args:
        policy: What decides.
        seen: `[S, D]`.
        field: One of the policy's fields.
    """
    seen = thin(seen, most=400)
    column = policy.fields.index(field)
    first, low, high, last = np.quantile(seen[:, column], [0.01, 0.1, 0.9, 0.99])
    points = np.linspace(first, last, _NUM_POINTS)
    varied = np.repeat(seen[None], _NUM_POINTS, axis=0)  # [G, S, D]
    varied[:, :, column] = points[:, None]
    actions = policy.act(varied.reshape(-1, seen.shape[1])).reshape(*varied.shape[:2], -1)
    return Dependence(
        field=field,
        points=points,
        actions=actions.mean(axis=1),
        low=float(low),
        high=float(high),
    )


def strongest(policy: Policy, importance: Array, count: int) -> list[str]:
    """Name the fields that move actions most, over all hyperparameters, the strongest first."""
    order = np.argsort(-importance.sum(axis=1), kind="stable")
    return [policy.fields[place] for place in order[:count]]


def thin(seen: Array, most: int = _MAX_SEEN) -> Array:
    """Return evenly spaced rows of `[S, D]`, at most so many."""
    if len(seen) <= most:
        return seen
    return seen[np.linspace(0, len(seen) - 1, most).astype(np.int64)]
