"""Reduce on plateau: divide the learning rate by ten when the validation loss stops falling.

Axes: `N` lanes.
"""

from __future__ import annotations

import numpy as np

from hpo_env.hyperparameters import Hyperparameter
from hpo_env.telemetry import Telemetry

from .rates import AdaptiveRates, Array, scaled_patience

_FACTOR = 0.1
_THRESHOLD = 1e-4  # relative
_SMALLEST_CHANGE = 1e-8


class PlateauRates(AdaptiveRates):
    """The rates of `torch.optim.lr_scheduler.ReduceLROnPlateau` with its default arguments.

    An epoch is a decision interval. The patience is a tenth of the run in place of 10 epochs,
    which most runs here would end before.

    Args:
        initial: Rates of the first interval `[N]`.
        num_intervals: Decision intervals of the run.
        known: The hyperparameter; unlike torch's rate, this one stays above its lowest value.
    """

    def __init__(self, initial: Array, num_intervals: int, known: Hyperparameter) -> None:
        super().__init__(initial, num_intervals, known)
        self.patience = scaled_patience(num_intervals)
        self._best = np.full(len(initial), np.inf)
        self._num_bad = np.zeros(len(initial), dtype=np.int64)

    def step(self, telemetry: Telemetry) -> None:
        """Count the intervals that brought nothing; see `AdaptiveRates.step`."""
        loss = telemetry.validation_loss
        is_better = loss < self._best * (1.0 - _THRESHOLD)
        self._best = np.where(is_better, loss, self._best)
        self._num_bad = np.where(is_better, 0, self._num_bad + 1)
        is_stuck = self._num_bad > self.patience
        self._num_bad[is_stuck] = 0
        lower = np.maximum(self.rates * _FACTOR, self.known.low)
        falls = is_stuck & (self.rates - lower > _SMALLEST_CHANGE)
        self.rates = np.where(falls, lower, self.rates)
