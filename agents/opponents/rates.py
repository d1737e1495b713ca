"""Rules: how the leading hyperparameter goes on, by the clock or by what was measured.

A rule is started on lanes with their initial values and from then on chooses the values of each
interval. `rules.py` lists them by name; untuned and tuned opponents follow the same ones.

Axes: `N` lanes, `H` hyperparameters of the family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import Hyperparameter
from hpo_env.telemetry import Telemetry

from .driving import Choose
from .lanes import Lanes

Array = NDArray[np.float64]
Rule = Callable[[Lanes, Array], Choose]
"""Given lanes and their initial values `[N, H]`, returns what chooses the values that follow."""

Factors = Callable[[NDArray[np.int64], NDArray[np.int64]], Array]
"""Given the interval and the number of intervals, `[N]` each, returns factors `[N]`."""


def follow(factors: Factors) -> Rule:
    """Make the rule of a schedule that goes by the clock."""

    def start(lanes: Lanes, initial: Array) -> Choose:
        total = np.full(len(lanes), lanes.num_intervals)
        return lambda lanes, telemetry: lanes.space.base(initial, factors(lanes.interval, total))

    return start


class AdaptiveRates(ABC):
    """Learning rates that react to what the last interval measured.

    Args:
        initial: Rates of the first interval `[N]`.
        num_intervals: Decision intervals of the run.
        known: The hyperparameter; rates stay inside its range.
    """

    def __init__(self, initial: Array, num_intervals: int, known: Hyperparameter) -> None:
        self.initial = initial
        self.rates = initial.copy()
        """Rates of the next interval `[N]`."""
        self.num_intervals = num_intervals
        self.known = known

    @abstractmethod
    def step(self, telemetry: Telemetry) -> None:
        """Set the next interval's rates from telemetry `[N]` of the last."""


def adapt(make: Callable[[Array, int, Hyperparameter], AdaptiveRates]) -> Rule:
    """Make the rule of adaptive rates; the other hyperparameters keep their initial values."""

    def start(lanes: Lanes, initial: Array) -> Choose:
        column, known = lanes.workload.column, lanes.workload.leading
        adaptive = make(initial[:, column], lanes.num_intervals, known)

        def choose(lanes: Lanes, telemetry: Telemetry | None) -> Array:
            if telemetry is not None:
                adaptive.step(telemetry)
            values = initial.copy()
            values[:, column] = adaptive.rates
            return values

        return choose

    return start


def scaled_patience(num_intervals: int) -> int:
    """Return a tenth of the run, at least 1: the usual 10 epochs of about a hundred.

    Example:
        >>> scaled_patience(4), scaled_patience(30), scaled_patience(100)
        (1, 3, 10)
    """
    return max(1, round(num_intervals / 10))
