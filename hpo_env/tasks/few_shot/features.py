"""What the rows that are held back say, as entries of the observation.

Axes: `R` rows, `K` outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.few_shot.network import probabilities
from hpo_env.tasks.few_shot.preparation import Prepared

FEATURES: Mapping[str, str] = {
    "held_back_level": "log of the loss of held-back rows, over that of who knows nothing",
    "held_back_change": "change of that log in the last interval",
    "held_back_fall": "change of that log since the start",
    "held_back_gap": "log of the loss of held-back rows over that of the rows adapted to",
    "held_back_error": "share of held-back rows told wrongly, or the unexplained share of variance",
    "overconfidence": "mean probability of the class that is told, less the share told rightly",
    "way_from_start": "length of the way from the initialisation, relative to it, as a log",
    "support_rows": "log of the rows adapted to, of each class where there are classes",
    "num_classes": "log of the number of classes; 0 where values are predicted",
}
"""The family's own entries, by name."""

_LEAST = 1e-6  # of a loss, before its logarithm
_WAY_SCALE = 3.0  # decades of the way from the start


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a network says of the rows that are held back.

    Args:
        loss: Mean loss.
        error: Share of rows told wrongly; nan where values are predicted.
        overconfidence: Mean probability of what is told, less the share told rightly; 0 there.
    """

    loss: float
    error: float
    overconfidence: float


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of a run, in numbers that `features` scales.

    Args:
        judged: After the last interval.
        first: Loss of held-back rows before the first step.
        previous: The same before the last interval.
        train_loss: Mean loss of the rows adapted to in the last interval.
        way: From the start, relative to it.
        chance: Loss of who knows nothing.
        num_rows: Real rows adapted to, of each class where there are classes.
        num_classes: 1 where values are predicted.
    """

    judged: Judged
    first: float
    previous: float
    train_loss: float
    way: float
    chance: float
    num_rows: float
    num_classes: int


def judged(
    loss: float,
    outputs: NDArray[np.float32],
    targets: NDArray[np.float32],
    temperature: float,
    is_classification: bool,
) -> Judged:
    """Judge outputs `[R, K]` of held-back rows."""
    if not is_classification:
        return Judged(loss=loss, error=math.nan, overconfidence=0.0)
    is_right = outputs.argmax(axis=1) == targets.argmax(axis=1)
    shares = probabilities(outputs[None], np.array([temperature]))[0]
    right = float(is_right.mean())
    told = float(shares.max(axis=1).mean())
    return Judged(loss=loss, error=1.0 - right, overconfidence=told - right)


def first(rows: Prepared, found: Judged, train_loss: float) -> Seen:
    """Return what is known before the first step."""
    num_classes = rows.adapted.targets.shape[1] if rows.is_classification else 1
    return Seen(
        judged=found,
        first=found.loss,
        previous=found.loss,
        train_loss=train_loss,
        way=0.0,
        chance=rows.chance,
        num_rows=len(rows.adapted.inputs) / num_classes,
        num_classes=num_classes,
    )


def following(seen: Seen, found: Judged, *, train_loss: float, way: float) -> Seen:
    """Return what is known after one more interval."""
    return Seen(
        judged=found,
        first=seen.first,
        previous=seen.judged.loss,
        train_loss=train_loss,
        way=way,
        chance=seen.chance,
        num_rows=seen.num_rows,
        num_classes=seen.num_classes,
    )


def features(seen: Seen) -> NDArray[np.float64]:
    """Scale what is known to `[-1, 1]`, in the order of `FEATURES`; what is no number is 0."""
    loss = seen.judged.loss
    error = 2.0 * seen.judged.error - 1.0
    if math.isnan(seen.judged.error):
        error = 2.0 * min(loss / seen.chance, 1.0) - 1.0
    entries = (
        _log_ratio(loss, seen.chance) / 4.0,
        _log_ratio(loss, seen.previous),
        _log_ratio(loss, seen.first) / 4.0,
        _log_ratio(loss, seen.train_loss) / 6.0,
        error,
        seen.judged.overconfidence,
        math.log10(max(seen.way, 10.0**-_WAY_SCALE)) / _WAY_SCALE + 1.0 if seen.way else -1.0,
        math.log2(seen.num_rows) / 6.0,
        math.log2(seen.num_classes) / 4.0,
    )
    return np.clip(np.nan_to_num(entries, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)


def _log_ratio(loss: float, other: float) -> float:
    return math.log(max(loss, _LEAST) / max(other, _LEAST))
