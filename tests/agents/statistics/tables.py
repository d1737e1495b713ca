"""Tables of comparisons for tests: one written by hand, and one from a seeded generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from agents.comparing.records import COLUMNS, to_frame
from agents.statistics.incumbent import incumbents
from hpo_env.reward import LOSS_FLOOR, bounded_log_loss

UPDATES_PER_INTERVAL = 10


def row(opponent: str, trials: Sequence[tuple[float, float]], **changes: Any) -> dict[str, Any]:
    """Make a row from the validation and test losses of its trials, each of four intervals."""
    validation = np.array([v for v, _ in trials])
    test = np.array([t for _, t in trials])
    first = float(changes.get("first_loss", 4.0))
    intervals = np.asarray(changes.get("trial_intervals", [4] * len(trials)))
    curve = np.asarray(changes.get("validation_loss", np.full(4, np.nan)), dtype=np.float64)
    best = incumbents(validation, intervals, len(curve))[-1]
    if "validation_loss" not in changes:
        curve = first * (validation[best] / first) ** (np.arange(1, 5) / 4)
    values: dict[str, Any] = {
        "opponent": opponent,
        "suite": "interpolation",
        "task": "wine",
        "label.architecture": "",
        "label.optimizer": "",
        "start": 0.1,
        "seed": 0,
        "loss_floor": LOSS_FLOOR,
        "first_loss": first,
        "last_loss": validation[best],
        "test_loss": test[best],
        "test_metric": np.nan,
        "diverged": bool(np.isnan(validation[best])),
        "log_test_loss": _bounded(test[best], first),
        "log_last_loss": _bounded(validation[best], first),
        "num_updates": UPDATES_PER_INTERVAL * int(intervals.sum()),
        "train_seconds": 1.0 * len(trials),
        "overhead_seconds": 0.25 * len(trials),
        "validation_loss": curve,
        "hyperparameters": {"learning_rate": np.full(len(curve), 0.1)},
        "trial_validation_loss": validation,
        "trial_test_loss": test,
        "trial_intervals": intervals,
        "spent_updates": UPDATES_PER_INTERVAL * np.cumsum(intervals),
    }
    values |= changes
    values.setdefault("unit", f"{values['task']}-{values['label.architecture']}-{values['seed']}")
    return values


def _bounded(loss: float, first: float) -> float:
    return float(
        bounded_log_loss(np.array(loss), first_loss=np.array(first), diverged=np.array(False))
    )


def frame_of(*rows: dict[str, Any]) -> pd.DataFrame:
    return to_frame(rows)


# ------------------------------------------------------------------------------ a realistic table

_SKILL = {  # mean log loss above the task's floor, what a rate a decade off costs, trials
    "controller": (0.06, 0.02, 1),
    "default": (0.25, 0.0, 1),
    "constant": (0.15, 0.30, 1),
    "cosine": (0.10, 0.25, 1),
    "one_cycle": (0.12, 0.28, 1),
    "cosine_tuned": (0.05, 0.0, 1),
    "prodigy": (0.14, 0.0, 1),
    "random_policy": (0.45, 0.35, 1),
    "random_search": (0.25, 0.0, 16),
    "optuna_tpe": (0.18, 0.0, 16),
    "hyperband": (0.22, 0.0, 16),
}
_DATASETS = ("breast_cancer", "concrete", "digits", "diamonds", "penguins", "wine_quality")
_NUM_INTERVALS = 20


def realistic_table(
    *, suites: Sequence[str] = ("interpolation", "extrapolation"), num_seeds: int = 3, seed: int = 7
) -> pd.DataFrame:
    """Draw a table as a comparison writes it: eleven opponents, six tasks, four starts."""
    rng = np.random.default_rng(seed)
    rows = []
    for s, suite in enumerate(suites):
        for d, dataset in enumerate(_DATASETS):
            floor = rng.normal(-1.2, 0.8)
            kept = {name: rng.normal(1.0, 0.4) for name in _SKILL}
            for run_seed in range(num_seeds):
                key = {
                    "suite": suite,
                    "task": dataset,
                    "label.architecture": ("mlp_64x2_relu", "mlp_128x3_tanh")[d % 2],
                    "label.optimizer": ("adamw", "sgd", "rmsprop")[d % 3],
                    "seed": run_seed,
                    "unit": f"{suite}-{d}-{run_seed}",
                    "first_loss": float(np.exp(floor + 1.5)),
                }
                for name in _SKILL:
                    seeds = rng.integers(2**32), rng.integers(2**32)
                    for rate in (1e-4, 1e-3, 1e-2, 1e-1):
                        rows.append(
                            _drawn(name, rate, floor, kept[name] * (1 + 0.5 * s), key, seeds)
                        )
    return to_frame(rows)


def _drawn(
    name: str, rate: float, floor: float, factor: float, key: dict[str, Any], seeds: Any
) -> dict[str, Any]:
    above, by_rate, num_trials = _SKILL[name]
    # What ignores the user's rate comes out the same from each.
    rng = np.random.default_rng(seeds[0] if by_rate == 0.0 else [*seeds, round(-np.log10(rate))])
    off = abs(np.log10(rate) + 2.0)
    mean = floor + factor * above + by_rate * off
    final = np.exp(mean + np.abs(rng.normal(0.0, 0.04 if num_trials == 1 else 0.3, num_trials)))
    test = final * np.exp(rng.normal(0.03, 0.03, num_trials))
    if name in ("constant", "random_policy") and rate == 1e-1 and rng.random() < 0.3:
        final[0] = test[0] = np.nan
    intervals = np.full(num_trials, _NUM_INTERVALS)
    if name == "hyperband":
        intervals[: num_trials // 2] = 5
    best = incumbents(final, intervals, _NUM_INTERVALS)[-1]
    progress = np.arange(1, _NUM_INTERVALS + 1) / _NUM_INTERVALS
    end = np.log(final[best]) if np.isfinite(final[best]) else mean
    share = (1.0 - np.exp(-4.0 * progress)) / (1.0 - np.exp(-4.0))
    curve = np.exp(floor + 1.5 + (end - floor - 1.5) * share)
    start = rate if by_rate else 10 ** rng.normal(-2.5, 0.4)
    rates = start * 0.5 * (1.0 + np.cos(np.pi * progress)) + 1e-5
    if name == "controller":
        rates = 10 ** (np.log10(start) * (1 - share) - 2.2 * share - 1.5 * progress**3)
    if np.isnan(final[best]):
        intervals = np.array([6])
        curve[5:], rates[6:] = np.nan, np.nan
    return row(
        name,
        list(zip(final, test, strict=True)),
        **key,
        start=rate,
        trial_intervals=intervals,
        validation_loss=curve,
        hyperparameters={"learning_rate": rates, "weight_decay": np.full(_NUM_INTERVALS, 1e-3)},
        train_seconds=0.8 * num_trials * float(rng.uniform(0.9, 1.1)),
        overhead_seconds=0.3 if name == "optuna_tpe" else 0.01,
    )


LABELS = {"label.architecture", "label.optimizer"}
assert set(row("x", [(1.0, 1.0)])) == set(COLUMNS) | LABELS
