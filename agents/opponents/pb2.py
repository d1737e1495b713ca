"""PB2: population-based training with a bandit (Parker-Holder, Nguyen and Roberts, 2020).

A time-varying Gaussian process learns how far the log validation loss falls in a period at which
values; copies go on where the upper confidence bound of the next fall is highest.

Axes: `N` lanes, `D` hyperparameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpo_env.integrations.extras import require

from .base import Opponent, Setup
from .pbt import PBT, Explorer
from .trials import Trials

if TYPE_CHECKING:
    from .time_varying_gp import TimeVaryingGP

Array = NDArray[np.float64]

NUM_CANDIDATES = 1000
"""Random points among which the bound is maximised; dense in the few dimensions there are."""

_CLIP = 2.0  # standard deviations; one run that blows up must not flatten all the others
_CONFIDENCE = 0.2, 0.4  # c1 and c2 in Ray Tune's implementation by the paper's authors


class Bandit(Explorer):
    """Chooses points by their upper confidence bound.

    Args:
        rng: What candidates are drawn from.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._points: list[Array] = []
        self._falls: list[Array] = []

    def observe(self, points: Array, falls: Array) -> None:
        """Remember a period; a divergence counts as a fall by the least there is."""
        self._points.append(points)
        self._falls.append(falls)

    def propose(self, sources: Array, staying: Array) -> Array:
        """Choose a point for each copy, whatever its source's; see `Explorer.propose`.

        Points that are under way narrow the bound around them before their falls are known
        (Desautels, Krause and Burdick, 2014): those of lanes that stay, and then each one chosen.
        """
        threads = require("threadpoolctl", extra="search")
        # Matrices of a hundred rows: threads make them no faster, and their sums another.
        with threads.threadpool_limits(1, user_api="blas"):
            return self._choose(len(sources), staying)

    def _choose(self, count: int, staying: Array) -> Array:
        from .time_varying_gp import TimeVaryingGP

        now = float(len(self._points))
        times = np.repeat(np.arange(now), [len(points) for points in self._points])
        y = _standardised(np.concatenate(self._falls))
        known = TimeVaryingGP.fit(np.concatenate(self._points), times, y)
        pending = _under_way(known, staying, now)
        beta = _CONFIDENCE[0] + max(0.0, float(np.log(_CONFIDENCE[1] * len(y))))
        chosen = np.empty((count, staying.shape[1]))
        for i in range(count):
            candidates = self._rng.random((NUM_CANDIDATES, staying.shape[1]))
            when = np.full(NUM_CANDIDATES, now)
            mean, _ = known.predict(candidates, when)
            _, deviation = pending.predict(candidates, when)
            chosen[i] = candidates[np.argmax(mean + np.sqrt(beta) * deviation)]
            pending = _under_way(pending, chosen[i : i + 1], now)
        return chosen


def _under_way(model: TimeVaryingGP, points: Array, now: float) -> TimeVaryingGP:
    """Return the model as if something had been observed at points `[n, D]`.

    Only its deviations mean anything then; they do not depend on what is observed.
    """
    return model.observe(points, np.full(len(points), now), np.zeros(len(points)))


def _standardised(falls: Array) -> Array:
    """Return falls of mean 0 and variance 1, clipped; divergences count as the least."""
    known = falls[np.isfinite(falls)]
    deviation = float(known.std()) if len(known) else 0.0
    if deviation == 0.0:
        return np.zeros_like(falls)
    filled = np.where(np.isfinite(falls), falls, -np.inf)
    return np.asarray(np.clip((filled - known.mean()) / deviation, -_CLIP, _CLIP))


@dataclass(frozen=True, kw_only=True)
class PB2(PBT):
    """PBT with a bandit in place of perturbations."""

    def explorer(self, trials: Trials) -> Explorer:
        """See `PBT.explorer`."""
        return Bandit(trials.instance.rng("pb2", "explore"))


def pb2(name: str, setup: Setup) -> Opponent:
    """PB2 with the setup's population."""
    for package in ("scipy", "threadpoolctl"):
        require(package, extra="search")
    return PB2(name=name, max_runs=setup.num_lanes, hyperparameters=setup.hyperparameters)
