"""One setting that is gone to at once and kept: the best of a thorough search, made once for all.

What a controller that walks has to fear is a setting that is good nearly everywhere, as it is there
from the first update on. `fixed_tuned` looks for one among 24 by their last losses; this one goes
on from the best of those in ever smaller steps, and counts the whole curve, as whoever is early is
ahead for longer.

Axes: `I` meta-training instances, `C` candidates, `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.reward import bounded_log_loss
from hpo_env.seeding import stream

from .base import Instance, Opponent, Prepared, Setup
from .configurations import Configuration, configured
from .driving import Choose, run_once
from .lanes import Lanes, Workload
from .search_space import SearchSpace
from .tuned import TunedConfiguration, distinct_canonical

Array = NDArray[np.float64]

STEPS = (0.2, 0.1, 0.05)
"""Standard deviation of each round's steps from the best so far, as a share of the ranges."""
NUM_PER_ROUND = 12
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Goto(TunedConfiguration):
    """The setting with the lowest log validation loss, meaned over instances and intervals.

    Random search, and then rounds of normal steps from the best so far: 60 settings in all.
    """

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {"steps": list(STEPS), "num_per_round": NUM_PER_ROUND}

    def prepare(self, workload: Workload, instances: Sequence[Instance]) -> Prepared:
        """See `Tuned.prepare`."""
        distinct = distinct_canonical(self, workload, instances)
        candidates = self.candidates(workload)
        scores = curve_losses(workload, distinct, candidates)
        search = SearchSpace(workload.space, self.hyperparameters)
        for number, step in enumerate(STEPS):
            best = candidates[int(scores.mean(axis=0).argmin())]
            near = _near(search, workload, best, step, number)
            candidates = [*candidates, *near]
            scores = np.concatenate([scores, curve_losses(workload, distinct, near)], axis=1)
        return self.choose(distinct, candidates, scores)


def curve_losses(
    workload: Workload, instances: Sequence[Instance], candidates: Sequence[Mapping[str, float]]
) -> Array:
    """Train every instance once under every setting, which is kept.

    Returns:
        Log validation losses, meaned over the intervals `[I, C]`; those from a divergence on count
        as in the reward. Test rows play no part.
    """
    kept = [Configuration(schedule="constant", values=values) for values in candidates]
    started = [configured(i, one, workload.space) for i in instances for one in kept]
    outcomes = run_once(workload, started, _keep)
    scores = [
        bounded_log_loss(
            outcome.validation_loss,
            first_loss=np.full(len(outcome.validation_loss), outcome.first_loss),
            diverged=np.isnan(outcome.validation_loss),
            floor=workload.loss_floor,
        ).mean()
        for outcome in outcomes
    ]
    return np.array(scores).reshape(len(instances), len(candidates))


def _keep(lanes: Lanes) -> Choose:
    initial = lanes.initial
    return lambda lanes, telemetry: initial


def _near(
    search: SearchSpace, workload: Workload, best: Mapping[str, float], step: float, number: int
) -> list[dict[str, float]]:
    """Draw settings around one, in the search space's cube."""
    space = workload.space
    values = space.defaults.copy()
    for name, value in best.items():
        values[space.index(name)] = value
    centre = search.encode(values[None])
    rng = stream(_SEED, "goto", number)
    points = centre + step * rng.normal(size=(NUM_PER_ROUND, len(search)))
    rows = search.decode(np.clip(points, 0.0, 1.0), space.defaults)
    names = search.hyperparameters
    return [{name: float(row[space.index(name)]) for name in names} for row in rows]


def goto(name: str, setup: Setup) -> Opponent:
    """One setting of all that opponents may choose, kept."""
    return Goto(name=name, schedule="constant", hyperparameters=setup.hyperparameters)
