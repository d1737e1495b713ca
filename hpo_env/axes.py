"""The scales of hyperparameters: the axes on which distances are told and values are moved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Scale = Literal["linear", "log", "one_minus_log", "log_integer", "logit"]

_Elementwise = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_Correct = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A scale: the map onto its axis, and a base value moved by a distance on it.

    `correct` is written so that a distance of 0 returns the base bit for bit.
    """

    to_axis: _Elementwise
    correct: _Correct
    step: Callable[[float], float]


def _log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(values, 1e-300))  # a weight decay of 0 is far left, and not -inf


_LOG = Axis(to_axis=_log, correct=lambda base, d: base * np.exp(d), step=math.log)
AXES: dict[str, Axis] = {
    "log": _LOG,
    "log_integer": _LOG,
    "linear": Axis(to_axis=lambda v: v, correct=lambda base, d: base + d, step=float),
    "one_minus_log": Axis(
        to_axis=lambda v: -np.log1p(-np.minimum(v, 1.0 - 1e-12)),  # the minus keeps it increasing
        # base - (1 - base) * (exp(-d) - 1) is 1 - (1 - base) * exp(-d), exact at d = 0
        correct=lambda base, d: base - (1.0 - base) * np.expm1(-d),
        step=math.log,
    ),
    "logit": Axis(
        to_axis=lambda v: _log(v) - _log(1.0 - np.minimum(v, 1.0 - 1e-12)),
        # odds times exp(d), written as a difference from the base: exact at d = 0
        correct=lambda base, d: (
            base + base * (1.0 - base) * np.expm1(d) / (1.0 + base * np.expm1(d))
        ),
        step=math.log,
    ),
}


def within(values: Any, low: Any, high: Any) -> NDArray[np.float64]:
    """Move values into a range; `np.clip` does the same, and over one lane takes thrice as long."""
    return np.asarray(np.minimum(np.maximum(values, low), high))
