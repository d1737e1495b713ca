"""How many trials of Optuna a steered run of reinforcement learning is worth.

    python benchmarks/reinforcement_trials.py --policy hpo_env/zoo/reinforcement --out trials.csv

For every run of the validation types a study of TPE chooses settings of what the policy moves,
within its axes, from Stable-Baselines3's defaults on; a trial is a whole run under a setting, kept,
and is judged by the mean of its curve, as the steered run is. The best of so many trials is told on
seeds of its own, as a user runs again what a search has found: the luck of the best is no merit.
The steered run begins at the defaults and makes one run in all.

Writes a row for each number of trials: `u` of the best so far, of the steered run and of the
defaults, mean over types, and over how many of the runs the steered one is ahead.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import tyro
from numpy.typing import NDArray

from benchmarks.reinforcement import Config as Compared
from benchmarks.reinforcement import curves, drawn_tasks, follow_policy, keep
from hpo_env.hyperparameters import Hyperparameter
from hpo_env.tasks.reinforcement.space import CONTROLLED, HYPERPARAMETERS, NAMES
from hpo_env.tasks.reinforcement.task import ReinforcementTask

Array = NDArray[np.float64]

_MOVED = tuple(h for h in HYPERPARAMETERS if h.name in CONTROLLED)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Compare a steered run with studies.

    Args:
        policy: Folder of the policy.
        runs: Of each type.
        trials: Of each study.
        out: The table.
    """

    policy: Path = Path("hpo_env/zoo/reinforcement")
    runs: int = 8
    trials: int = 32
    out: Path = Path("benchmarks/results/reinforcement/trials.csv")


def asked(trial: optuna.Trial) -> dict[str, float]:
    """Let a study choose a setting."""
    return {h.name: _chosen(trial, h) for h in _MOVED}


def _chosen(trial: optuna.Trial, h: Hyperparameter) -> float:
    if h.scale == "log_integer":
        return float(trial.suggest_int(h.name, round(h.low), round(h.high), log=True))
    if h.scale == "one_minus_log":
        return 1.0 - trial.suggest_float(h.name, 1.0 - h.high, 1.0 - h.low, log=True)
    return trial.suggest_float(h.name, h.low, h.high, log=True)


def begun_at(task: ReinforcementTask, values: dict[str, float]) -> ReinforcementTask:
    """Let a task start from a setting."""
    initial = [values.get(n, own) for n, own in zip(NAMES, task.initial, strict=True)]
    return replace(task, initial=tuple(initial))


def areas(tasks: list[ReinforcementTask], seed: int) -> Array:
    """Run every task once, kept; the mean of each curve."""
    return np.asarray(curves(tasks, keep, seed).mean(axis=1))


def searched(tasks: list[ReinforcementTask], num_trials: int) -> Array:
    """Study every task; the area of the best so far on other seeds `[num_trials, N]`."""
    studies = [
        optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=k))
        for k in range(len(tasks))
    ]
    for study, task in zip(studies, tasks, strict=True):
        own = dict(zip(NAMES, task.initial, strict=True))
        first = {n: 1.0 - own[n] if n in ("discount", "gae_lambda") else own[n] for n in CONTROLLED}
        names = {n: round(v) if n == "epochs" else v for n, v in first.items()}
        study.enqueue_trial(names)
    best, told, rows = np.full(len(tasks), -np.inf), np.full(len(tasks), np.nan), []
    for k in range(num_trials):
        trials = [study.ask() for study in studies]
        settings = [asked(trial) for trial in trials]
        set_tasks = [begun_at(*pair) for pair in zip(tasks, settings, strict=True)]
        found, again = areas(set_tasks, 1000 * k), areas(set_tasks, 1000 * k + 500)
        for study, trial, value in zip(studies, trials, found.tolist(), strict=True):
            study.tell(trial, value)
        is_best = found > best
        best, told = np.where(is_best, found, best), np.where(is_best, again, told)
        rows.append(told.copy())
        print(k + 1, "trials:", round(float(told.mean()), 3), flush=True)
    return np.array(rows)


def main(config: Config) -> None:
    """Run the studies and the steered runs, and write the table."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    compared = Compared(runs=config.runs)
    tasks = drawn_tasks(compared, "validation", "default", config.runs)
    kept = areas(tasks, 0)
    act, moved = follow_policy(config.policy, compared.num_decisions)
    steered = curves(tasks, act, 0, moved).mean(axis=1)
    print("kept", kept.mean().round(3), "steered", steered.mean().round(3), flush=True)
    rows = [
        {
            "trials": k + 1,
            "best": round(float(best.mean()), 4),
            "steered": round(float(steered.mean()), 4),
            "defaults": round(float(kept.mean()), 4),
            "steered ahead": round(float(np.mean(steered > best)), 3),
        }
        for k, best in enumerate(searched(tasks, config.trials))
    ]
    table = pd.DataFrame(rows)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(config.out, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main(tyro.cli(Config))
