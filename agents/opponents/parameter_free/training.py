"""Runs of a batched optimiser in the place of the tasks' own.

All else is as the tasks say: data, model, initial weights, order of the minibatches, dropout, label
smoothing, gradient clipping, and how losses are measured.

Axes: `N` lanes, `P` parameters, `T` decision intervals, `H` hyperparameters of the family.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.opponents.base import Instance, Outcome
from agents.opponents.lanes import Bench
from agents.opponents.parameter_free.batched import BatchedOptimizer
from agents.opponents.parameter_free.learners import (
    Learners,
    in_force,
    open_learners,
    row_bound,
)
from hpo_env.errors import ConfigurationError
from hpo_env.networks.models import ModelSpec
from hpo_env.reward import has_diverged
from hpo_env.seeding import draw_episode_seed
from hpo_env.tasks.supervised.cohort import spec_for
from hpo_env.tasks.supervised.data import (
    MAX_TEST_ROWS,
    MAX_TRAIN_ROWS,
    MAX_VALIDATION_ROWS,
    SupervisedTask,
    prepare,
)

FAMILIES = ("supervised",)
"""Families with gradients that an optimiser can be given."""

_MOST_NUMBERS = 2**26
"""float32 that the lanes of a batch hold together, 256 MiB: models of a million weights train a few
at a time."""
_STATES = 12
"""Copies of the weights: the step's, the optimiser's memory and what it computes in between."""

Make = Callable[[Tensor], BatchedOptimizer]
"""Makes an optimiser of initial weights `[N, P]`."""


def check_family(bench: Bench) -> None:
    """Check that runs of the bench have gradients.

    Raises:
        ConfigurationError: They have not.
    """
    if bench.family not in FAMILIES:
        raise ConfigurationError(
            f"parameter-free optimisers train networks, in family {' or '.join(FAMILIES)}; "
            f"got {bench.family!r}: leave them out of this comparison"
        )


def train(bench: Bench, instances: Sequence[Instance], make: Make) -> list[Outcome]:
    """Train each instance once.

    Args:
        bench: Where to train.
        instances: What to train, of any horizons and models.
        make: Makes the optimiser of a batch.

    Returns:
        An outcome for each instance, in the same order.

    Raises:
        ConfigurationError: The bench's family has no gradients.
    """
    check_family(bench)
    outcomes: dict[int, Outcome] = {}
    for spec, batch in _batches(bench, instances):
        trained = _train_batch(bench, [instances[i] for i in batch], spec, make)
        outcomes |= dict(zip(batch, trained, strict=True))
    return [outcomes[i] for i in range(len(instances))]


def _batches(bench: Bench, instances: Sequence[Instance]) -> list[tuple[ModelSpec, list[int]]]:
    """Group places in `instances` by what lanes that train together must have in common."""
    groups: dict[tuple[int, ModelSpec, int], list[int]] = {}
    for place, instance in enumerate(instances):
        task = cast(SupervisedTask, instance.task)
        # The rows are dropped and made again by the learners: those of all would fill the memory.
        spec = spec_for(task.architecture, prepare(task))
        groups.setdefault((task.num_decisions, spec, row_bound(task)), []).append(place)
    return [
        (spec, places[start : start + size])
        for (_, spec, _), places in groups.items()
        for size in [min(bench.max_lanes, _lanes_that_fit(spec))]
        for start in range(0, len(places), size)
    ]


def _lanes_that_fit(spec: ModelSpec) -> int:
    parameters = spec.parameters()
    rows = MAX_TRAIN_ROWS + MAX_VALIDATION_ROWS + MAX_TEST_ROWS
    widest = max(parameter.shape[-1] for parameter in parameters)
    outputs = MAX_VALIDATION_ROWS * widest * spec.rows_per_input()
    numbers = rows * spec.num_inputs + _STATES * sum(p.size for p in parameters) + 4 * outputs
    return max(_MOST_NUMBERS // numbers, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Log:
    """What the runs of a batch have measured so far; filled as they train.

    Args:
        loss: Validation loss after each interval `[T, N]`, NaN from a divergence on.
        step_size: The optimiser's own rate at the end of each interval `[T, N]`, NaN after a
            divergence.
        num_intervals: Intervals that each run went through `[N]`.
        diverged: `[N]`.
        seconds: Wall-clock that each run is charged `[N]`.
    """

    loss: NDArray[np.float64]
    step_size: NDArray[np.float64]
    num_intervals: NDArray[np.int64]
    diverged: NDArray[np.bool_]
    seconds: NDArray[np.float64]

    @classmethod
    def empty(cls, num_intervals: int, num_lanes: int) -> _Log:
        """Return one in which nothing has been measured."""
        return cls(
            loss=np.full((num_intervals, num_lanes), np.nan),
            step_size=np.full((num_intervals, num_lanes), np.nan),
            num_intervals=np.zeros(num_lanes, dtype=np.int64),
            diverged=np.zeros(num_lanes, dtype=bool),
            seconds=np.zeros(num_lanes),
        )


def _train_batch(
    bench: Bench, instances: Sequence[Instance], spec: ModelSpec, make: Make
) -> list[Outcome]:
    started = time.perf_counter()
    learners = open_learners(
        spec,
        [cast(SupervisedTask, instance.task) for instance in instances],
        [draw_episode_seed(np.random.default_rng(i.lane_seed)) for i in instances],
        engine=bench.engine,
        device=bench.device,
    )
    log = _Log.empty(instances[0].task.num_decisions, len(instances))
    with torch.no_grad():
        optimizer = make(learners.initial_weights)
        first_loss = learners.evaluate(optimizer.evaluated)
        log.seconds[:] = (time.perf_counter() - started) / len(instances)
        for interval in range(len(log.loss)):
            if not log.diverged.all():
                _advance(learners, optimizer, log, interval, first_loss, bench.updates_per_decision)
        test = np.array(learners.test(optimizer.evaluated))
    test[:, log.diverged] = np.nan
    overhead = (time.perf_counter() - started - float(log.seconds.sum())) / len(instances)
    return [
        _outcome(bench, instance, log, lane, float(first_loss[lane]), test[:, lane], overhead)
        for lane, instance in enumerate(instances)
    ]


def _advance(
    learners: Learners,
    optimizer: BatchedOptimizer,
    log: _Log,
    interval: int,
    first_loss: NDArray[np.float64],
    num_updates: int,
) -> None:
    """Train all lanes for one interval, and log those that had not diverged before."""
    before = time.perf_counter()
    is_finite = np.ones(len(learners), dtype=bool)
    for _ in range(num_updates):
        gradients, losses = learners.gradients(optimizer.weights)
        is_finite &= np.isfinite(losses)
        optimizer.step(gradients)
    loss = learners.evaluate(optimizer.evaluated)
    running = ~log.diverged
    log.num_intervals[running] += 1
    log.step_size[interval, running] = optimizer.step_size.cpu().numpy()[running]
    log.diverged[:] |= has_diverged(loss, first_loss) | ~is_finite
    log.loss[interval, ~log.diverged] = loss[~log.diverged]
    log.seconds[running] += (time.perf_counter() - before) / running.sum()


def _outcome(
    bench: Bench,
    instance: Instance,
    log: _Log,
    lane: int,
    first_loss: float,
    test: NDArray[np.float64],
    overhead_seconds: float,
) -> Outcome:
    num_intervals = int(log.num_intervals[lane])
    num_updates = num_intervals * bench.updates_per_decision
    return Outcome(
        first_loss=first_loss,
        last_loss=float(log.loss[-1, lane]),
        test_loss=float(test[0]),
        test_metric=float(test[1]),
        diverged=bool(log.diverged[lane]),
        hyperparameters=_hyperparameters(bench, instance, log, lane),
        validation_loss=log.loss[:, lane].copy(),
        trial_validation_loss=log.loss[-1:, lane].copy(),
        trial_test_loss=test[:1].copy(),
        trial_intervals=np.array([num_intervals]),
        spent_updates=np.array([num_updates]),
        num_updates=num_updates,
        train_seconds=float(log.seconds[lane]),
        overhead_seconds=overhead_seconds,
    )


def _hyperparameters(
    bench: Bench, instance: Instance, log: _Log, lane: int
) -> dict[str, NDArray[np.float64]]:
    """Return what was in force in each interval `[T]` by name; NaN where nothing was."""
    num_intervals = len(log.loss)
    is_run = np.arange(num_intervals) < log.num_intervals[lane]
    fixed = in_force(cast(SupervisedTask, instance.task))
    values = {name: np.where(is_run, fixed.get(name, np.nan), np.nan) for name in bench.space.names}
    return values | {"learning_rate": log.step_size[:, lane].copy()}
