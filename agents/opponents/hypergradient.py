"""Hypergradient descent at the level of decision intervals.

Axes: `N` lanes.
"""

from __future__ import annotations

import numpy as np

from hpo_env.telemetry import Telemetry

from .rates import AdaptiveRates

STRENGTH = 0.2
"""Largest relative change of the rate in one interval: that of a strength of 0.02 an update over
ten updates, the usual number in an interval."""


class HypergradientRates(AdaptiveRates):
    """Raises the rate while updates agree, and lowers it when they undo each other.

    The multiplicative rule of Baydin et al. ("Online learning rate adaptation with hypergradient
    descent", 2018) multiplies the rate after every update by `1 + β cos`, `cos` being the cosine
    between the last two gradients. This one is coarser in two ways: it acts once a decision
    interval, and its cosine is between the displacements of the interval's two halves, which are
    sums of the optimiser's updates (momentum and preconditioning included) and not gradients. For
    plain gradient descent at a fixed rate they are sums of gradients. Where no cosine was
    measured the rate stays.
    """

    def step(self, telemetry: Telemetry) -> None:
        """See `AdaptiveRates.step`."""
        agreement = np.nan_to_num(telemetry.update_agreement, nan=0.0)
        moved = self.rates * (1.0 + STRENGTH * np.clip(agreement, -1.0, 1.0))
        self.rates = np.clip(moved, self.known.low, self.known.high)
