"""The memory behind the observation.

The environment keeps one observer over N lanes, a deployed controller keeps one over a single lane,
and both call the same three methods.

Axes: `N` lanes, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.observation import (
    RUN_FIELDS,
    Array,
    Memory,
    field_docs,
    field_names,
    measured,
    safe_log,
    within_one,
)
from hpo_env.reward import LOSS_FLOOR, log_loss
from hpo_env.telemetry import Telemetry

_SMOOTHING = 0.7  # memory of about three intervals, a tenth of a usual run
_OTHERS = ("other_first", "other_current", "other_best")
_SQUASHED = [place for place, f in enumerate(RUN_FIELDS) if f.scale is not None]
_SCALES = np.array([[f.scale] for f in RUN_FIELDS if f.scale is not None])


def followed_loss(telemetry: Telemetry) -> tuple[Array, Array]:
    """Choose the loss that is followed: validation, or training where there is no validation.

    Args:
        telemetry: One interval's `[N]`.

    Returns:
        Losses `[N]`, and 1 where they come from validation rows and -1 where not `[N]`.
    """
    has_validation = ~np.isnan(telemetry.validation_loss)
    loss = np.where(has_validation, telemetry.validation_loss, telemetry.train_loss)
    return loss, 2.0 * has_validation - 1.0


class Observer:
    """Turns the telemetry of N lanes, interval by interval, into observations.

    Args:
        space: The controlled hyperparameters, `H` of them.
        num_lanes: `N`.
        loss_floor: A validation loss below it is seen as this: the family's own.
    """

    def __init__(
        self, space: HyperparameterSpace, num_lanes: int, *, loss_floor: float = LOSS_FLOOR
    ) -> None:
        self.space = space
        self.loss_floor = loss_floor
        self.names = field_names(space.names)
        self.docs = field_docs(space.names)
        lane = {f.name: np.zeros(num_lanes) for f in fields(Memory)}
        wide = ("actions", "corrections", "values", "available")
        lane |= {name: np.zeros((num_lanes, len(space))) for name in wide}
        self.memory = Memory(**lane)
        self.telemetry = Telemetry.missing(num_lanes)

    def begin(
        self,
        lanes: NDArray[np.int64],
        telemetry: Telemetry,
        *,
        num_intervals: NDArray[np.int64],
        values: Array,
        available: Array | None = None,
    ) -> None:
        """Forget the given lanes and start new runs in them.

        Args:
            lanes: Which lanes `[n]`.
            telemetry: What was measured before the first update `[n]`: the validation loss counts.
            num_intervals: Decision intervals in each run `[n]`.
            values: Base values of the first interval `[n, H]`.
            available: 1 where a hyperparameter can be written, -1 where not `[n, H]`; default 1.
        """
        has_validation = measured(telemetry.validation_loss)
        log = log_loss(telemetry.validation_loss, self.loss_floor)  # NaN: `update` fills it
        memory = self.memory
        for name in ("interval", "drop", "drop_before", "drop_average", "agreement_average"):
            getattr(memory, name)[lanes] = 0.0
        for name in ("first", "previous", "current", "best"):
            getattr(memory, name)[lanes] = log
        for name in ("update_ratio_before", "gradient_before", *_OTHERS):
            getattr(memory, name)[lanes] = np.nan
        memory.num_intervals[lanes] = num_intervals
        memory.has_validation[lanes] = memory.kind[lanes] = has_validation
        memory.base_change[lanes] = 0.0
        memory.actions[lanes] = 0.0
        memory.corrections[lanes] = 0.0
        memory.values[lanes] = values
        memory.available[lanes] = 1.0 if available is None else available
        # Training losses before the first update exist in the environment but in nobody's own loop.
        start = Telemetry.missing(len(telemetry))
        start.validation_loss[:] = np.maximum(telemetry.validation_loss, self.loss_floor)
        self.telemetry.put(lanes, start)

    def update(
        self,
        telemetry: Telemetry,
        *,
        actions: Array,
        corrections: Array,
        values: Array,
        base_change: Array,
    ) -> None:
        """Take in one finished interval of every lane.

        Args:
            telemetry: What the interval measured `[N]`.
            actions: What the agent did before it `[N, H]`.
            corrections: The corrections in force during it `[N, H]`.
            values: The effective values in force during it `[N, H]`.
            base_change: Log ratio of the base schedule's next factor to this interval's `[N]`.
        """
        loss, has_validation = followed_loss(telemetry)
        before = _changed_kind(self.memory, loss, has_validation, telemetry.diverged)
        log = np.where(
            np.isfinite(loss), log_loss(loss, self.loss_floor), before.current
        )  # a diverged lane keeps its last
        first = np.where(np.isnan(before.first), log, before.first)
        previous = np.where(np.isnan(before.current), log, before.current)
        drop = previous - log
        agreement = np.where(
            np.isfinite(telemetry.update_agreement),
            within_one(telemetry.update_agreement),
            before.agreement_average,
        )
        self.memory = Memory(  # dataclasses.replace takes longer than all that is worked out here
            num_intervals=before.num_intervals,
            other_first=before.other_first,
            other_current=before.other_current,
            other_best=before.other_best,
            available=before.available,
            interval=before.interval + 1.0,
            first=first,
            previous=previous,
            current=log,
            best=np.fmin(before.best, log),
            drop=drop,
            drop_before=before.drop,
            drop_average=_average(before.drop_average, drop),
            agreement_average=_average(before.agreement_average, agreement),
            update_ratio_before=safe_log(self.telemetry.update_ratio),
            gradient_before=safe_log(self.telemetry.gradient_norm_last),
            has_validation=has_validation,
            kind=np.where(np.isfinite(loss) & ~telemetry.diverged, has_validation, before.kind),
            base_change=base_change.copy(),
            actions=actions.copy(),
            corrections=corrections.copy(),
            values=values.copy(),
        )
        self.telemetry = telemetry.copy()
        floored = self.telemetry.validation_loss
        np.maximum(floored, self.loss_floor, out=floored)

    def tell_time(self, done: ArrayLike, whole: ArrayLike) -> None:
        """Tell how many of how many intervals are over, where these are not those counted `[N]`."""
        self.memory.interval[:], self.memory.num_intervals[:] = done, whole

    def observe(self) -> NDArray[np.float32]:
        """Return the observation of every lane, float32 `[N, D]`, each entry in `[-1, 1]`."""
        # Over one lane a call of NumPy takes longer than its work: all is squashed and bounded at
        # once, and neither np.stack nor np.nan_to_num is called.
        memory, telemetry = self.memory, self.telemetry
        seen = np.empty((len(memory.interval), len(self.names)))
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            run = np.array([f.compute(memory, telemetry) for f in RUN_FIELDS])
            run[_SQUASHED] = np.tanh(run[_SQUASHED] / _SCALES)
        seen[:, : len(run)] = run.T
        per_name = (
            self.space.position(memory.values),
            self.space.relative(memory.corrections),
            memory.actions,
            memory.available,
        )
        for place, array in enumerate(per_name):
            seen[:, len(run) + place :: len(per_name)] = array
        return within_one(np.where(np.isnan(seen), 0.0, seen)).astype(np.float32)

    def snapshot(self, lanes: NDArray[np.int64]) -> tuple[dict[str, Array], Telemetry]:
        """Copy the memory of some lanes; `restore` is its inverse."""
        memory = {f.name: getattr(self.memory, f.name)[lanes] for f in fields(Memory)}
        return memory, self.telemetry.take(lanes)

    def restore(
        self, lanes: NDArray[np.int64], snapshot: tuple[dict[str, Array], Telemetry]
    ) -> None:
        """Put a snapshot of n lanes into n lanes."""
        memory, telemetry = snapshot
        for name, values in memory.items():
            getattr(self.memory, name)[lanes] = values
        self.telemetry.put(lanes, telemetry)


def _changed_kind(
    memory: Memory, loss: Array, has_validation: Array, diverged: NDArray[np.bool_]
) -> Memory:
    """Turn to the other kind of loss in the lanes that follow another one than before.

    Losses of two kinds are not compared: each has its own first and best, and the first one after
    a change has fallen by nothing.
    """
    is_other = np.isfinite(loss) & ~diverged & (has_validation != memory.kind)
    is_other &= ~np.isnan(memory.current)  # the first loss of a run follows none
    if not is_other.any():
        return memory
    swapped = {}
    for name, other in zip(("first", "current", "best"), _OTHERS, strict=True):
        here, there = getattr(memory, name), getattr(memory, other)
        swapped[name], swapped[other] = np.where(is_other, (there, here), (here, there))
    return replace(memory, **swapped | {"current": np.where(is_other, np.nan, swapped["current"])})


def _average(average: Array, value: Array) -> Array:
    return _SMOOTHING * average + (1.0 - _SMOOTHING) * value
