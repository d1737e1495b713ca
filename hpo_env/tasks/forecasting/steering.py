"""Walks that a policy steers outside of the environment: the same moves, the same observation.

Deployment has no reward and nothing to judge a forecast by but what has been realised. A test runs
the same series once here and once through the environment and finds equal values and forecasts.

Axes: `N` walks, `H` hyperparameters, `T` decisions, `A` steps ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.reward import LOSS_FLOOR
from hpo_env.steering import Steering
from hpo_env.tasks.building import BuildError
from hpo_env.tasks.forecasting.batch import Batch
from hpo_env.tasks.forecasting.layout import FEATURES, HYPERPARAMETERS, RECENT, weight_of_recent
from hpo_env.tasks.forecasting.native.kernel import Kernel
from hpo_env.tasks.forecasting.native.network import Network
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
        recent_errors: The same, late ones counting more (`layout.RECENT`): settings are chosen on
            the way, so that these are nearest to the errors to come `[N, A]`.
        num_errors: How many each is the mean of `[N, A]`.
        course: Values in force after every decision `[N, T, H]`; NaN after a walk's last one.
    """

    forecasts: Array
    errors: Array
    recent_errors: Array
    num_errors: Array
    course: Array


@cache
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
    start: Array | None = None,
    kernel: Kernel | None = None,
) -> Steered:
    """Walk through every series once.

    Args:
        walks: `N` of them, without a future or with one: it is not looked at.
        space: All hyperparameters of the family, in its order.
        policies: Their moves are averaged; none leaves the initial values in force.
        num_ahead: `A`, at least 1.
        initial: Values while the first observations are taken in `[N, H]`; the space's defaults
            when None.
        start: Values that moves go from, beginning with the first decision `[N, H]`: `initial` when
            None. What others have set is left at one stroke; a dozen moves do not lead back from
            anywhere.
        kernel: None runs the NumPy twin.
    """
    return steer_batch(
        Batch.of([walk.prepared for walk in walks]),
        space,
        policies,
        num_ahead=num_ahead,
        initial=initial,
        start=start,
        kernel=kernel,
    )


def steer_batch(
    batch: Batch,
    space: HyperparameterSpace,
    policies: Sequence[Policy],
    *,
    num_ahead: int,
    initial: Array | None = None,
    start: Array | None = None,
    kernel: Kernel | None = None,
) -> Steered:
    """Walk through every series of a batch once; see `steer`.

    The kernel walks to the end by itself under one policy of the usual kind, or none; with several
    (or another kind) it is asked at every decision.
    """
    initial = np.tile(space.defaults, (len(batch), 1)) if initial is None else initial
    start = initial if start is None else start
    run = Walks(len(batch), kernel)
    places = [space.index(name) for name in HYPERPARAMETERS]
    run.start_batch(batch, np.ascontiguousarray(initial[:, places]))
    run.values = np.ascontiguousarray(start[:, places])
    policy = policies[0] if policies else None
    if kernel is not None and len(policies) < 2 and Network.is_known(space, policy):
        floor = LOSS_FLOOR if policy is None else policy.loss_floor
        own, sums, recent, counts, course = kernel.steer(
            _network(space, policy, floor),
            state=run.state,
            facts=run.facts,
            values=run.values,
            series=run.series,
            indices=run.indices,
            naive_error=run.naive_error,
            num_ahead=num_ahead,
            longest=int(batch.num_decisions.max(initial=0)),
        )
        realised = _Realised(run, num_ahead)
        realised.sums, realised.recent, realised.counts = sums, recent, counts
    else:
        course, realised = _decide(run, batch, space, policies, start, num_ahead)
        own, _ = run.forecast(np.arange(len(batch)), num_ahead)
    errors, recent_errors = realised.means()
    return Steered(
        forecasts=batch.with_season(own),
        errors=errors * batch.scale[:, None],
        recent_errors=recent_errors * batch.scale[:, None],
        num_errors=realised.counts,
        course=course,
    )


def with_season(forecasts: Array, walks: Sequence[Walk]) -> Array:
    """Put the season back into forecasts after the origin `[N, A]`, still scaled."""
    num = forecasts.shape[1]
    season = np.array([w.prepared.seasonal(len(w.prepared.values), num) for w in walks])
    is_factor = np.array([w.prepared.is_multiplicative for w in walks])[:, None]
    season = season.reshape(forecasts.shape)
    return np.asarray(np.where(is_factor, forecasts * season, forecasts + season))


@lru_cache(maxsize=8)
def _network(space: HyperparameterSpace, policy: Policy | None, loss_floor: float) -> Network:
    return Network(space, policy, loss_floor)


def _decide(
    run: Walks,
    batch: Batch,
    space: HyperparameterSpace,
    policies: Sequence[Policy],
    start: Array,
    num_ahead: int,
) -> tuple[Array, _Realised]:
    """Walk to the end, all series abreast; returns the course and the errors on the way."""
    count, num_decisions = len(batch), batch.num_decisions
    lanes = np.arange(count)
    places = [space.index(name) for name in HYPERPARAMETERS]
    longest = int(num_decisions.max(initial=0))
    floor = policies[0].loss_floor if policies else LOSS_FLOOR
    steering = Steering(space, count, loss_floor=floor, features=tuple(FEATURES))
    steering.begin(
        lanes,
        Telemetry.missing(count),
        initial=start,
        base=start,
        num_intervals=num_decisions,
    )
    actors = [policy.actor(count) for policy in policies]
    course = np.full((count, longest, len(space)), np.nan)
    realised = _Realised(run, num_ahead)
    for decision in range(longest):
        goes_on = decision < num_decisions
        moves = np.zeros_like(start)
        if actors:
            observations = steering.observe(run.features())
            moves = np.mean([actor(observations) for actor in actors], axis=0)
        steering.move(np.where(goes_on[:, None], moves, 0.0))
        values = steering.values(start)
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
    return course, realised


class _Realised:
    """Sums of the errors of forecasts made on the way, by steps ahead `[N, A]`."""

    def __init__(self, run: Walks, num_ahead: int) -> None:
        self.run = run
        self.sums = np.zeros((len(run.state), num_ahead))
        self.recent = np.zeros_like(self.sums)  # late errors count more
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
        error = np.where(is_known, np.abs(actual - own) * size, 0.0)
        self.sums[lanes] += error
        self.recent[lanes] = np.where(is_known, RECENT, 1.0) * self.recent[lanes] + error
        self.counts[lanes] += is_known

    def means(self) -> tuple[Array, Array]:
        """Return mean sizes of errors `[N, A]`, NaN where there is none; the same of late ones."""
        plain = self.sums / np.maximum(self.counts, 1)
        recent = self.recent / np.maximum(weight_of_recent(self.counts), 1.0)
        is_known = self.counts > 0
        return np.where(is_known, plain, np.nan), np.where(is_known, recent, np.nan)
