"""What a controlled forecaster is compared with: known methods, and settings chosen otherwise.

All take walks and return forecasts on the scale of the series `[N, A]`. Theta and Naive2 have the
seasonal treatment of M3 and M4; constants and grid have the walks' own (`preparation`).

Axes: `N` walks, `A` steps ahead, `H` hyperparameters.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.forecasting.family import ForecastingFamily
from hpo_env.tasks.forecasting.layout import HYPERPARAMETERS
from hpo_env.tasks.forecasting.native.kernel import Kernel
from hpo_env.tasks.forecasting.preparation import classically_prepared
from hpo_env.tasks.forecasting.starts import start_of
from hpo_env.tasks.forecasting.steering import steer, with_season
from hpo_env.tasks.forecasting.trainer import Walk

Array = NDArray[np.float64]

_ALPHAS = np.linspace(0.02, 0.999, 60)
_TRIGG_LEACH = 0.2
_FIRST_CHANGES = 5
_COMB = tuple(
    np.array(list(itertools.product(*factors)))
    for factors in (
        (np.linspace(0.02, 0.999, 40), (0.0,), (0.0,)),
        (np.linspace(0.02, 0.999, 20), (0.001, 0.01, 0.03, 0.06, 0.1, 0.2, 0.4, 0.8), (1.0,)),
        (
            np.linspace(0.02, 0.999, 20),
            (0.001, 0.01, 0.03, 0.06, 0.1, 0.2, 0.4, 0.8),
            (0.8, 0.9, 0.95, 0.98),
        ),
    )
)
"""Level, trend and damping of simple, Holt's and damped smoothing that `comb` chooses from."""

GRID: dict[str, tuple[float, ...]] = {
    "level": (0.1, 0.3, 0.6, 0.9),
    "trend": (0.01, 0.1),
    "damping": (0.8, 0.95, 0.99),
    "drift": (0.05, 0.5, 0.95),
    "regression_share": (0.05, 0.5, 0.9),
}
"""Settings of `grid_by_series`; the others keep the constants of the season."""


def seasonal_naive(walks: Sequence[Walk], num_ahead: int) -> Array:
    """Repeat the last season, or the last value where there is no season to be known."""
    rows = []
    for walk in walks:
        ready = walk.prepared
        length, period = len(ready.values), ready.period
        seen = ready.observed
        last = seen[-period:] if length >= period else seen[-1:]
        rows.append(ready.scale * last[np.arange(num_ahead) % len(last)])
    return np.array(rows)


def naive2(walks: Sequence[Walk], num_ahead: int) -> Array:
    """Repeat the last value free of the season, and put the season back."""
    walks = _classical(walks)
    last = np.array([walk.prepared.values[-1] for walk in walks])
    return _on_scale(np.repeat(last[:, None], num_ahead, axis=1), walks)


def theta(walks: Sequence[Walk], num_ahead: int) -> Array:
    """Forecast by the Theta method of M3.

    Simple smoothing, its factor fitted by least squares, with half of the slope of the straight
    line through the series (Hyndman and Billah, Unmasking the Theta method, 2003, equation 4).
    """
    rows = []
    steps = np.arange(num_ahead)
    walks = _classical(walks)
    for walk in walks:
        z = walk.prepared.values
        time = np.arange(len(z)) - (len(z) - 1) / 2.0
        slope = float(time @ z / (time @ time))
        levels = np.full(len(_ALPHAS), z[0])
        squares = np.zeros(len(_ALPHAS))
        for value in z[1:]:
            error = value - levels
            squares += error**2
            levels = levels + _ALPHAS * error
        best = int(squares.argmin())
        alpha = _ALPHAS[best]
        drift = steps + (1.0 - (1.0 - alpha) ** len(z)) / alpha
        rows.append(levels[best] + 0.5 * slope * drift)
    return _on_scale(np.array(rows), walks)


def comb(walks: Sequence[Walk], num_ahead: int) -> Array:
    """Average simple, Holt's and damped smoothing: Comb of M3 and M4.

    Each has its factors fitted by least squares of one-step errors, on a grid; the level starts at
    the first observation and the slope at the mean of the first changes (Makridakis and Hibon, The
    M3-Competition, 2000; Gardner, Exponential smoothing: the state of the art II, 2006).
    """
    walks = _classical(walks)
    rows = [
        np.mean([_smoothed(walk.prepared.values, one, num_ahead) for one in _COMB], axis=0)
        for walk in walks
    ]
    return _on_scale(np.array(rows), walks)


def _smoothed(z: Array, factors: Array, num_ahead: int) -> Array:
    """Forecast by the smoothing of the smallest squared one-step errors `[A]`.

    Args:
        z: Observations without the season.
        factors: Of level, trend and damping to try `[K, 3]`; a damping of 0 is no trend.
        num_ahead: `A`.
    """
    alpha, beta, phi = factors.T
    changes = np.diff(z[:_FIRST_CHANGES])
    level = np.full(len(factors), z[0])
    slope = np.full(len(factors), float(changes.mean()))
    squares = np.zeros(len(factors))
    for value in z[1:]:
        base = level + phi * slope
        error = value - base
        squares += error**2
        level = base + alpha * error
        slope = phi * slope + alpha * beta * error
    best = int(squares.argmin())
    sums = np.cumsum(phi[best] ** np.arange(1, num_ahead + 1))
    return np.asarray(level[best] + sums * slope[best])


def trigg_leach(walks: Sequence[Walk], num_ahead: int) -> Array:
    """Smooth with a factor that follows the errors, and repeat the last level.

    The factor is the size of the smoothed error over the smoothed size of the error (Trigg and
    Leach, Exponential smoothing with an adaptive response rate, 1967), smoothed by a fifth.
    """
    walks = _classical(walks)
    levels = []
    for walk in walks:
        z = walk.prepared.values
        level, error, size = z[0], 0.0, 0.0
        for value in z[1:]:
            miss = value - level
            error = _TRIGG_LEACH * miss + (1.0 - _TRIGG_LEACH) * error
            size = _TRIGG_LEACH * abs(miss) + (1.0 - _TRIGG_LEACH) * size
            level += (abs(error) / size if size > 0.0 else 0.0) * miss
        levels.append(level)
    return _on_scale(np.repeat(np.array(levels)[:, None], num_ahead, axis=1), walks)


def constants(walks: Sequence[Walk], num_ahead: int, kernel: Kernel | None = None) -> Array:
    """Keep the constants that are best on the training sets for the season: no policy at all."""
    return _steered(walks, num_ahead, _starts(walks), kernel)[0]


def grid_by_series(walks: Sequence[Walk], num_ahead: int, kernel: Kernel | None = None) -> Array:
    """Try every setting of `GRID` on each series, and keep the one whose errors were smallest.

    The errors are those of all forecasts 1 to A steps ahead made on the way: what a person without
    a policy would choose by.
    """
    best = np.full(len(walks), np.inf)
    chosen = np.zeros((len(walks), num_ahead))
    for setting in itertools.product(*GRID.values()):
        initial = _starts(walks)
        for name, value in zip(GRID, setting, strict=True):
            initial[:, HYPERPARAMETERS.index(name)] = value
        forecasts, error = _steered(walks, num_ahead, initial, kernel)
        is_better = error < best
        best = np.where(is_better, error, best)
        chosen[is_better] = forecasts[is_better]
    return chosen


def _classical(walks: Sequence[Walk]) -> list[Walk]:
    return [replace(walk, prepared=classically_prepared(walk.prepared)) for walk in walks]


def _starts(walks: Sequence[Walk]) -> Array:
    return np.array([start_of(walk.prepared.period) for walk in walks])


def _steered(
    walks: Sequence[Walk], num_ahead: int, initial: Array, kernel: Kernel | None
) -> tuple[Array, Array]:
    """Walk under constant values; return forecasts and the mean realised error `[N]`."""
    space = ForecastingFamily().space
    found = steer(walks, space, [], num_ahead=num_ahead, initial=initial, kernel=kernel)
    total = np.nansum(found.errors * found.num_errors, axis=1)
    return found.forecasts, total / np.maximum(found.num_errors.sum(axis=1), 1.0)


def _on_scale(forecasts: Array, walks: Sequence[Walk]) -> Array:
    scale = np.array([walk.prepared.scale for walk in walks])
    return np.asarray(with_season(forecasts, walks) * scale[:, None])
