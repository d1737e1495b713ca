"""GreedyLR: raise the learning rate while the validation loss falls, and lower it when not.

Axes: `N` lanes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import Hyperparameter
from hpo_env.telemetry import Telemetry

from .rates import AdaptiveRates, Array, scaled_patience

_FACTOR = 0.95
_THRESHOLD = 1e-6  # absolute
_SMALLEST_CHANGE = 1e-8
_REDUCTIONS_UNTIL_RESET = 500


class GreedyRates(AdaptiveRates):
    """The rates of `transformers.optimization.GreedyLR` (arXiv:2512.14527).

    Hugging Face's Trainer steps it at every evaluation, here a decision interval. Its arguments are
    the library's defaults but for two: the patience is a tenth of the run in place of 10
    evaluations, and the rate's ends are the hyperparameter's in place of 1e-3 and 1.

    Args:
        initial: Rates of the first interval `[N]`.
        num_intervals: Decision intervals of the run.
        known: The hyperparameter.
        reset_after: Reductions in vain, at the lowest rate, after which all starts again.
    """

    def __init__(
        self,
        initial: Array,
        num_intervals: int,
        known: Hyperparameter,
        *,
        reset_after: int = _REDUCTIONS_UNTIL_RESET,
    ) -> None:
        super().__init__(initial, num_intervals, known)
        self.patience = scaled_patience(num_intervals)
        self.reset_after = reset_after
        self._best = np.full(len(initial), np.inf)
        self._num_good, self._num_bad = np.zeros((2, len(initial)), dtype=np.int64)
        self._left = np.full(len(initial), reset_after)
        """Reductions at the lowest rate until the reset `[N]`."""

    def step(self, telemetry: Telemetry) -> None:
        """Count good and bad intervals in a row; see `AdaptiveRates.step`."""
        loss = telemetry.validation_loss
        is_better = loss < self._best - _THRESHOLD
        self._best = np.where(is_better, loss, self._best)
        self._num_good = np.where(is_better, self._num_good + 1, 0)
        self._num_bad = np.where(is_better, 0, self._num_bad + 1)
        self._raise(self._num_good > self.patience)
        self._lower(self._num_bad > self.patience)

    def _raise(self, chosen: NDArray[np.bool_]) -> None:
        higher = np.minimum(self.rates / _FACTOR, self.known.high)
        rises = chosen & (higher - self.rates > _SMALLEST_CHANGE)
        self.rates = np.where(rises, higher, self.rates)
        self._num_good[chosen] = 0
        self._left[chosen] = self.reset_after

    def _lower(self, chosen: NDArray[np.bool_]) -> None:
        lower = np.maximum(self.rates * _FACTOR, self.known.low)
        falls = chosen & (self.rates - lower > _SMALLEST_CHANGE)
        self.rates = np.where(falls, lower, self.rates)
        self._num_bad[chosen] = 0
        self._left -= chosen & (self.rates <= self.known.low)
        self._reset(chosen & (self._left <= 0))

    def _reset(self, chosen: NDArray[np.bool_]) -> None:
        self.rates = np.where(chosen, self.initial, self.rates)
        self._best[chosen] = np.inf
        self._left[chosen] = self.reset_after
