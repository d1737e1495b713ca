"""The learning rate of a policy gradient that keeps each update's divergence near a target.

The rule of rsl_rl's PPO (Schwarke et al., RSL-RL: A Learning Library for Robotics Research,
arXiv:2509.10771; `schedule="adaptive"`), which goes back to Schulman et al. (Proximal policy
optimization algorithms, arXiv:1707.06347, section 4): where the divergence of the new policy from
the old is above twice the target the rate is divided by 1.5, below half of it multiplied by 1.5.

Axes: `N` lanes, `H` hyperparameters of the family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.telemetry import Telemetry

from .base import Instance, Opponent, Outcome, Prepared, Setup
from .driving import Choose, run_once
from .lanes import Lanes, Workload

Array = NDArray[np.float64]

TARGET = 0.01
"""Kullback-Leibler divergence of an update in nats: `desired_kl` in rsl_rl's configurations."""
_BAND = 2.0  # times the target and through it: where the rate stays
_FACTOR = 1.5


def adapted(
    rates: Array,
    divergence: Array,
    *,
    low: float | Array,
    high: float | Array,
    num_updates: int | Sequence[int],
) -> Array:
    """Return the rates that follow.

    rsl_rl changes the rate after every minibatch. Here it is the same for all updates of an
    interval, so what each of them would have done is done at once.

    Args:
        rates: In force so far `[N]`.
        divergence: Mean divergence of the last updates, in nats, `[N]`. Where it is NaN, or 0 as
            of a policy that was not updated, the rate stays.
        low: Lowest rate, a number or `[N]`.
        high: Highest rate, the same.
        num_updates: Updates, each with a rollout of its own, until the next change; a number or N.

    Returns:
        `[N]`.

    Example:
        >>> divergence = np.array([0.03, 0.01, 0.004, np.nan])
        >>> adapted(np.ones(4), divergence, low=0.1, high=1.2, num_updates=1).round(3).tolist()
        [0.667, 1.0, 1.2, 1.0]
    """
    counts = [num_updates] if isinstance(num_updates, int) else num_updates
    factor = np.array([_FACTOR**count for count in counts])
    with np.errstate(invalid="ignore"):
        is_far = divergence > TARGET * _BAND
        is_near = (divergence < TARGET / _BAND) & (divergence > 0.0)
    lower, higher = np.maximum(rates / factor, low), np.minimum(rates * factor, high)
    return np.where(is_far, lower, np.where(is_near, higher, rates))


@dataclass(frozen=True, kw_only=True)
class DivergenceAdaptive(Opponent):
    """One run from the user's values, whose leading hyperparameter follows the divergence."""

    @property
    def needs(self) -> frozenset[str]:
        """A rate, and policies whose divergence is measured."""
        return frozenset({"rate", "policy_divergence"})

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {"target": TARGET, "factor": _FACTOR}

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`."""
        return run_once(workload, instances, self._start)

    def _start(self, lanes: Lanes) -> Choose:
        values, workload = lanes.initial, lanes.workload
        updates = [workload.interval_updates(instance.task) for instance in lanes.instances]
        known, column = workload.leading, workload.column
        # A user's rate may lie outside of the range; the rule is no reason to pull it in.
        low, high = (
            np.minimum(known.low, values[:, column]),
            np.maximum(known.high, values[:, column]),
        )

        def choose(lanes: Lanes, telemetry: Telemetry | None) -> Array:
            if telemetry is not None:
                values[:, column] = adapted(
                    values[:, column],
                    lanes.policy_divergence,
                    low=low,
                    high=high,
                    num_updates=updates,
                )
            return values

        return choose


def kl_adaptive(name: str, setup: Setup) -> Opponent:
    """The user's own rate, adapted to the divergence; the rest is kept."""
    return DivergenceAdaptive(name=name)
