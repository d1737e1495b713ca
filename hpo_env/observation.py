"""The observation: one table of fields, from which vector, space, names and documentation follow.

Every field is bounded to `[-1, 1]`, free of scale (logarithms, ratios, cosines, normalised time)
and computed from telemetry alone, so there are no running statistics to ship with a policy and
nothing in it depends on the number of lanes. What was not measured is 0, and a mask field says so.

`Observer` is the memory behind it: the environment keeps one over N lanes, a deployed controller
keeps one over a single lane, and both call the same three methods.

The file is long because the table, its meanings and the memory that it is computed from are read
together.

Axes: `N` lanes, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.reward import LOSS_FLOOR, log_loss
from hpo_env.telemetry import Telemetry

OBSERVATION_VERSION = (1, 0)
"""Major: a field changed its meaning, old policies are refused. Minor: fields were appended."""

Array = NDArray[np.float64]

_SMOOTHING = 0.7  # memory of about three intervals, a tenth of a usual run
_LONGEST_RUN = 1000  # intervals at which the field "remaining" reaches 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Memory:
    """What an observer remembers of each lane, every entry `[N]` or `[N, H]`.

    Args:
        interval: Intervals finished.
        num_intervals: Intervals in the whole run.
        first: Log validation loss before the first update.
        previous: Log validation loss one interval ago.
        current: Log validation loss now.
        best: Lowest log validation loss so far.
        other_first: As `first`, of the other kind of loss (training where validation is followed);
            NaN while it never was the one that is followed.
        other_current: As `current`, the same.
        other_best: As `best`, the same.
        drop: Last fall of the log validation loss, positive when it improved.
        drop_before: The fall one interval earlier.
        drop_average: Exponential average of the falls.
        agreement_average: Exponential average of the update agreement.
        update_ratio_before: Log update ratio one interval earlier; NaN when there was none.
        gradient_before: Log gradient norm at the end of the interval before; NaN when none.
        has_validation: Whether the loss comes from validation rows and not from training.
        kind: The same of the loss that `current` is, where the last interval had none.
        actions: Last actions, each in `[-1, 1]`.
        corrections: Distance of each hyperparameter from its base value, on its axis.
        values: Effective values.
        available: Whether the hyperparameter can be written at all.
        base_change: What the base schedule will do next, as the log of the factors' ratio.
    """

    interval: Array
    num_intervals: Array
    first: Array
    previous: Array
    current: Array
    best: Array
    other_first: Array
    other_current: Array
    other_best: Array
    drop: Array
    drop_before: Array
    drop_average: Array
    agreement_average: Array
    update_ratio_before: Array
    gradient_before: Array
    has_validation: Array
    kind: Array
    base_change: Array
    actions: Array
    corrections: Array
    values: Array
    available: Array


_Compute = Callable[[Memory, Telemetry], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One entry of the observation.

    Args:
        name: Stable name; policy files list them in order.
        doc: What it measures, for the documentation.
        compute: Its value `[N]` before squashing; NaN becomes 0.
        scale: The value that is mapped to `tanh(1) = 0.76`; None when `[-1, 1]` already bounds it.
    """

    name: str
    doc: str
    compute: _Compute
    scale: float | None = None


def _log(values: Array) -> Array:
    return np.log(np.maximum(values, 1e-30))


def _within_one(values: Array) -> Array:
    """Clip to `[-1, 1]`; `np.clip` does the same, and over one lane takes thrice as long."""
    return np.asarray(np.minimum(np.maximum(values, -1.0), 1.0))


def _measured(values: Array) -> Array:
    return 2.0 * np.isfinite(values) - 1.0


RUN_FIELDS: tuple[Field, ...] = (
    Field(
        name="progress",
        doc="Share of the run that is over, from -1 at the start to 1 at the end",
        compute=lambda m, t: 2.0 * m.interval / m.num_intervals - 1.0,
    ),
    Field(
        name="remaining",
        doc="Logarithm of the decisions left, 1 at a thousand",
        compute=lambda m, t: np.minimum(
            np.log1p(m.num_intervals - m.interval) / np.log1p(_LONGEST_RUN), 1.0
        ),
    ),
    Field(
        name="total_drop",
        doc="Fall of the log validation loss since the start",
        compute=lambda m, t: m.first - m.current,
        scale=1.5,
    ),
    Field(
        name="drop",
        doc="Fall of the log validation loss in the last interval",
        compute=lambda m, t: m.drop,
        scale=0.1,
    ),
    Field(
        name="large_drop",
        doc="The same on a coarser scale, so that jumps are told apart",
        compute=lambda m, t: m.drop,
        scale=1.0,
    ),
    Field(
        name="drop_before",
        doc="Fall of the log validation loss in the interval before",
        compute=lambda m, t: m.drop_before,
        scale=0.1,
    ),
    Field(
        name="drop_average",
        doc="Exponential average of the falls, over about three intervals",
        compute=lambda m, t: m.drop_average,
        scale=0.05,
    ),
    Field(
        name="above_best",
        doc="How far the log validation loss lies above its best so far",
        compute=lambda m, t: m.current - m.best,
        scale=0.1,
    ),
    Field(
        name="train_slope",
        doc="Log ratio of the interval's second half of training losses to its first half",
        compute=lambda m, t: _log(t.train_loss_second_half) - _log(t.train_loss_first_half),
        scale=0.1,
    ),
    Field(
        name="train_spread",
        doc="Spread of the minibatch losses over their mean, logarithmic, 0 at 10 %",
        compute=lambda m, t: _log(t.train_loss_spread / t.train_loss) - np.log(0.1),
        scale=1.5,
    ),
    Field(
        name="generalisation_gap",
        doc="Log ratio of validation loss to training loss",
        compute=lambda m, t: log_loss(t.validation_loss) - log_loss(t.train_loss),
        scale=0.5,
    ),
    Field(
        name="update_ratio",
        doc="Log of the relative change of the weights in the interval, 0 at 3 %",
        compute=lambda m, t: _log(t.update_ratio) - np.log(0.03),
        scale=2.5,
    ),
    Field(
        name="update_ratio_change",
        doc="Change of that logarithm against the interval before",
        compute=lambda m, t: _log(t.update_ratio) - m.update_ratio_before,
        scale=0.7,
    ),
    Field(
        name="update_agreement",
        doc="Cosine between the displacements of the interval's two halves",
        compute=lambda m, t: _within_one(t.update_agreement),
    ),
    Field(
        name="update_agreement_average",
        doc="Exponential average of that cosine",
        compute=lambda m, t: m.agreement_average,
    ),
    Field(
        name="gradient_change",
        doc="Log ratio of the gradient norm at the interval's end to that at its start",
        compute=lambda m, t: _log(t.gradient_norm_last) - _log(t.gradient_norm_first),
        scale=0.7,
    ),
    Field(
        name="gradient_trend",
        doc="Log ratio of the gradient norm to that one interval earlier",
        compute=lambda m, t: _log(t.gradient_norm_last) - m.gradient_before,
        scale=0.7,
    ),
    Field(
        name="base_change",
        doc="Log ratio of the base schedule in the next interval to that in the last",
        compute=lambda m, t: m.base_change,
        scale=0.3,
    ),
    Field(
        name="has_validation",
        doc="1 when the losses come from validation rows, -1 when training losses stand in",
        compute=lambda m, t: m.has_validation,
    ),
    Field(
        name="has_training",
        doc="1 when a training loss was measured, -1 when not (also before the first update)",
        compute=lambda m, t: _measured(t.train_loss),
    ),
    Field(
        name="has_gradient",
        doc="1 when gradient norms were measured, -1 when not",
        compute=lambda m, t: _measured(t.gradient_norm_last),
    ),
    Field(
        name="has_updates",
        doc="1 when the displacement of the weights was measured, -1 when not",
        compute=lambda m, t: _measured(t.update_ratio),
    ),
)
"""The fields that describe the run; the fields of each hyperparameter follow them."""

_SQUASHED = [place for place, f in enumerate(RUN_FIELDS) if f.scale is not None]
_SCALES = np.array([[f.scale] for f in RUN_FIELDS if f.scale is not None])

HYPERPARAMETER_FIELDS: tuple[tuple[str, str], ...] = (
    ("position", "Where the effective value lies in its range, -1 at the lowest, 1 at the highest"),
    ("correction", "Distance from the base value, as a share of the range"),
    ("action", "The last action"),
    ("available", "1 when the value can be written, -1 when not"),
)
"""Name and meaning of the fields that every controlled hyperparameter has."""


def field_names(hyperparameters: Sequence[str]) -> tuple[str, ...]:
    """List the observation's fields in order, `D` of them.

    Args:
        hyperparameters: Names of the controlled hyperparameters, `H` of them.

    Example:
        >>> field_names(["learning_rate"])[-2:]
        ('learning_rate/action', 'learning_rate/available')
    """
    run = tuple(f.name for f in RUN_FIELDS)
    return run + tuple(f"{h}/{name}" for h in hyperparameters for name, _ in HYPERPARAMETER_FIELDS)


def field_docs(hyperparameters: Sequence[str]) -> dict[str, str]:
    """Return what each field of the observation measures, in the observation's order."""
    docs = [f.doc for f in RUN_FIELDS]
    docs += [f"{doc} ({h})" for h in hyperparameters for _, doc in HYPERPARAMETER_FIELDS]
    return dict(zip(field_names(hyperparameters), docs, strict=True))


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
        has_validation = _measured(telemetry.validation_loss)
        log = log_loss(
            telemetry.validation_loss, self.loss_floor
        )  # NaN when not measured: filled by `update`
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
            _within_one(telemetry.update_agreement),
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
            update_ratio_before=_log(self.telemetry.update_ratio),
            gradient_before=_log(self.telemetry.gradient_norm_last),
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
        return _within_one(np.where(np.isnan(seen), 0.0, seen)).astype(np.float32)

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


_OTHERS = ("other_first", "other_current", "other_best")


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
