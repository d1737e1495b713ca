"""Walks that a policy steers outside of the environment: the same moves, the same observation.

Deployment has no reward and nothing to judge a forecast by but what has been realised. A test runs
the same series once here and once through the environment and finds equal values and forecasts.

Axes: `N` walks, `H` hyperparameters, `T` decisions, `A` steps ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.reward import LOSS_FLOOR
from hpo_env.steering import Steering
from hpo_env.tasks.building import BuildError
from hpo_env.tasks.forecasting.layout import FEATURES, HYPERPARAMETERS
from hpo_env.tasks.forecasting.native.kernel import Kernel
from hpo_env.tasks.forecasting.trainer import Walk, Walks
from hpo_env.telemetry import Telemetry

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Steered:
    """What walks came to.

    Args:
        forecasts: After the last observation, on the scale of the series `[N, A]`.
        errors: Mean size of the realised errors of forecasts 1..A steps ahead that were made on the
            way, on the same scale `[N, A]`; NaN where none was.
        num_errors: How many each is the mean of `[N, A]`.
        course: Values in force after every decision `[N, T, H]`; NaN after a walk's last one.
    """

    forecasts: Array
    errors: Array
    num_errors: Array
    course: Array


def kernel_or_twin() -> Kernel | None:
    """Return the kernel, or None where it cannot be built: the NumPy twin runs then."""
    try:
        return Kernel()
    except BuildError:
        return None


def steer(
    walks: Sequence[Walk],
    space: HyperparameterSpace,
    policies: Sequence[Policy],
    *,
    num_ahead: int,
    initial: Array | None = None,
    kernel: Kernel | None = None,
) -> Steered:
    """Walk through every series once.

    Args:
        walks: `N` of them, without a future or with one: it is not looked at.
        space: All hyperparameters of the family, in its order.
        policies: Their moves are averaged; none leaves the initial values in force.
        num_ahead: `A`, at least 1.
        initial: Values at the start `[N, H]`; the space's defaults when None.
        kernel: None runs the NumPy twin.
    """
    count = len(walks)
    lanes = np.arange(count)
    initial = np.tile(space.defaults, (count, 1)) if initial is None else initial
    places = [space.index(name) for name in HYPERPARAMETERS]
    run = Walks(count, kernel)
    run.start(lanes, list(walks), [1] * count, np.ascontiguousarray(initial[:, places]))
    num_decisions = np.array([walk.prepared.num_decisions for walk in walks])
    longest = int(num_decisions.max(initial=0))
    floor = policies[0].loss_floor if policies else LOSS_FLOOR
    steering = Steering(space, count, loss_floor=floor, features=tuple(FEATURES))
    steering.begin(
        lanes,
        Telemetry.missing(count),
        initial=initial,
        base=initial,
        num_intervals=num_decisions,
    )
    actors = [policy.actor(count) for policy in policies]
    course = np.full((count, longest, len(space)), np.nan)
    realised = _Realised(run, num_ahead)
    for decision in range(longest):
        goes_on = decision < num_decisions
        moves = np.zeros_like(initial)
        if actors:
            observations = steering.observe(run.features())
            moves = np.mean([actor(observations) for actor in actors], axis=0)
        steering.move(np.where(goes_on[:, None], moves, 0.0))
        values = steering.values(initial)
        run.values = np.ascontiguousarray(values[:, places])
        course[goes_on, decision] = values[goes_on]
        realised.judge()
        has_more = run.age < run.fact("length")
        run.take_in(lanes, np.where(has_more, run.fact("stride"), 0))
        telemetry = Telemetry.missing(count)
        telemetry.train_loss[:] = run.realised(lanes)
        steering.close_interval(
            telemetry,
            values=values,
            base_change=np.zeros(count),
            roll_back=lambda lanes: False,  # what a walk has seen, it has seen
        )
    own, _ = run.forecast(lanes, num_ahead)
    scale = np.array([walk.prepared.scale for walk in walks])
    errors, num_errors = realised.means()
    return Steered(
        forecasts=with_season(own, walks) * scale[:, None],
        errors=errors * scale[:, None],
        num_errors=num_errors,
        course=course,
    )


def with_season(forecasts: Array, walks: Sequence[Walk]) -> Array:
    """Put the season back into forecasts after the origin `[N, A]`, still scaled."""
    num = forecasts.shape[1]
    season = np.array([w.prepared.seasonal(len(w.prepared.values), num) for w in walks])
    is_factor = np.array([w.prepared.is_multiplicative for w in walks])[:, None]
    season = season.reshape(forecasts.shape)
    return np.asarray(np.where(is_factor, forecasts * season, forecasts + season))


class _Realised:
    """Sums of the errors of forecasts made on the way, by steps ahead."""

    def __init__(self, run: Walks, num_ahead: int) -> None:
        self.run = run
        self.sums = np.zeros((len(run.state), num_ahead))
        self.counts = np.zeros_like(self.sums)

    def judge(self) -> None:
        """Forecast from where the walks are, and compare with what is known to come."""
        run, num = self.run, self.sums.shape[1]
        steps = np.arange(num)
        left = run.fact("length") - run.age
        lanes = np.flatnonzero(left > 0)
        if not len(lanes):
            return
        own, _ = run.forecast(lanes, num)
        places = np.minimum(run.age[lanes, None] + steps, run.fact("length")[lanes, None] - 1)
        actual = np.take_along_axis(run.series[lanes], places, axis=1)
        season = np.take_along_axis(run.indices[lanes], places, axis=1)
        size = np.where(run.fact("is_multiplicative")[lanes, None] > 0, season, 1.0)
        is_known = steps < left[lanes, None]
        self.sums[lanes] += np.where(is_known, np.abs(actual - own) * size, 0.0)
        self.counts[lanes] += is_known

    def means(self) -> tuple[Array, Array]:
        """Return mean sizes of errors `[N, A]`, NaN where there is none, and their numbers."""
        known = self.counts > 0
        return np.where(known, self.sums / np.maximum(self.counts, 1), np.nan), self.counts
