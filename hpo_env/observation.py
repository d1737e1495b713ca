"""The observation: one table of fields, from which vector, space, names and documentation follow.

Every field is bounded to `[-1, 1]`, free of scale (logarithms, ratios, cosines, normalised time)
and computed from telemetry alone, so there are no running statistics to ship with a policy and
nothing in it depends on the number of lanes. What was not measured is 0, and a mask field says so.

What keeps the memory that the fields are computed from is `hpo_env.observer.Observer`.

Axes: `N` lanes, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.reward import log_loss
from hpo_env.telemetry import Telemetry

OBSERVATION_VERSION = (1, 0)
"""Major: a field changed its meaning, old policies are refused. Minor: fields were appended."""

Array = NDArray[np.float64]

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


def safe_log(values: Array) -> Array:
    """Take logarithms, of 0 that of the smallest that counts."""
    return np.log(np.maximum(values, 1e-30))


def within_one(values: Array) -> Array:
    """Clip to `[-1, 1]`; `np.clip` does the same, and over one lane takes thrice as long."""
    return np.asarray(np.minimum(np.maximum(values, -1.0), 1.0))


def measured(values: Array) -> Array:
    """Return 1 where there is a number and -1 where not."""
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
        compute=lambda m, t: safe_log(t.train_loss_second_half) - safe_log(t.train_loss_first_half),
        scale=0.1,
    ),
    Field(
        name="train_spread",
        doc="Spread of the minibatch losses over their mean, logarithmic, 0 at 10 %",
        compute=lambda m, t: safe_log(t.train_loss_spread / t.train_loss) - np.log(0.1),
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
        compute=lambda m, t: safe_log(t.update_ratio) - np.log(0.03),
        scale=2.5,
    ),
    Field(
        name="update_ratio_change",
        doc="Change of that logarithm against the interval before",
        compute=lambda m, t: safe_log(t.update_ratio) - m.update_ratio_before,
        scale=0.7,
    ),
    Field(
        name="update_agreement",
        doc="Cosine between the displacements of the interval's two halves",
        compute=lambda m, t: within_one(t.update_agreement),
    ),
    Field(
        name="update_agreement_average",
        doc="Exponential average of that cosine",
        compute=lambda m, t: m.agreement_average,
    ),
    Field(
        name="gradient_change",
        doc="Log ratio of the gradient norm at the interval's end to that at its start",
        compute=lambda m, t: safe_log(t.gradient_norm_last) - safe_log(t.gradient_norm_first),
        scale=0.7,
    ),
    Field(
        name="gradient_trend",
        doc="Log ratio of the gradient norm to that one interval earlier",
        compute=lambda m, t: safe_log(t.gradient_norm_last) - m.gradient_before,
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
        compute=lambda m, t: measured(t.train_loss),
    ),
    Field(
        name="has_gradient",
        doc="1 when gradient norms were measured, -1 when not",
        compute=lambda m, t: measured(t.gradient_norm_last),
    ),
    Field(
        name="has_updates",
        doc="1 when the displacement of the weights was measured, -1 when not",
        compute=lambda m, t: measured(t.update_ratio),
    ),
)
"""The fields that describe the run; the fields of each hyperparameter follow them."""

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
