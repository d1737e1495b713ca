"""Regret: how far a method is behind the best one on each task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.protocol import Results


@dataclass(frozen=True, kw_only=True, eq=False)
class Regret:
    """Regret by task and method.

    Args:
        tasks: Rows: data set, and architecture where there is one.
        methods: Columns.
        values: Mean log test loss less the lowest of the row `[tasks, methods]`, from 0 up.
    """

    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    values: NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """Describe it in plain data."""
        return {
            "tasks": list(self.tasks),
            "methods": list(self.methods),
            "values": self.values.round(4).tolist(),
        }


def compute_regret(results: Mapping[str, Results], groups: NDArray[np.str_]) -> Regret:
    """Compute the regret of every method on every task, averaged over the task's runs.

    Args:
        results: By method, all on the same runs E.
        groups: Which task each run belongs to `[E]`.
    """
    tasks = ordered(groups)
    losses = np.array(
        [[r.log_test_loss[groups == task].mean() for r in results.values()] for task in tasks]
    )
    return Regret(
        tasks=tasks, methods=tuple(results), values=losses - losses.min(axis=1, keepdims=True)
    )


def ordered(groups: NDArray[np.str_]) -> tuple[str, ...]:
    """Return the distinct groups, numbers at their end by size.

    Example:
        >>> ordered(np.array(["q from 1e-1", "q from 1e-5", "q from 1e-1"]))
        ('q from 1e-5', 'q from 1e-1')
    """

    def key(group: str) -> tuple[str, float]:
        words, _, last = group.rpartition(" ")
        try:
            return words, float(last)
        except ValueError:
            return group, 0.0

    return tuple(sorted(set(groups.tolist()), key=key))


def task_groups(results: Results) -> NDArray[np.str_]:
    """Say which task each run belongs to `[E]`, in words.

    Data set and architecture; in families that have one data set and no architectures, the decade
    of the initial value, which is then what runs differ in most.
    """
    nets = results.architectures
    words = [f"{n} · {a}" if a else str(n) for n, a in zip(results.names, nets, strict=True)]
    if len(set(words)) > 1:
        return np.array(words)
    decades = [decade(value) for value in results.initial(0)]
    return np.array([f"{word} from {text}" for word, text in zip(words, decades, strict=True)])


def decade(value: float) -> str:
    """Name the power of ten below a value.

    Example:
        >>> decade(0.0123), decade(0.001), decade(0.0)
        ('1e-2', '1e-3', '0')
    """
    return f"1e{math.floor(math.log10(value) + 1e-9)}" if value > 0.0 else f"{value:g}"
