"""How fast the own booster is, beside LightGBM making the same rounds.

    python benchmarks/automl_speed.py

Each table is cut to 1,000 rows, of which 600 train and 200 validate, and boosted for 100 rounds in
20 decisions from LightGBM's defaults: by LightGBM in a loop that updates, evaluates training and
validation rows after each round and writes six hyperparameters after five, and by the own booster,
which does the same. Both apply each tree to the test rows too. Times are processor times of one
core, without putting the table into bins. `own, one lane` is one run at a time, `own, lanes` all
tables at once, `environment` the whole step of the vector environment, observations and rewards
included.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from hpo_env.tasks.automl.family import AutomlFamily
from hpo_env.tasks.automl.lightgbm_boosters import LightGBMBoosters
from hpo_env.tasks.automl.native_boosters import NativeBoosters
from hpo_env.tasks.automl.space import LIBRARY_NAMES, to_lightgbm
from hpo_env.tasks.automl.task import AutomlTask
from hpo_env.vector_env import HPOControlVectorEnv

_DECISIONS, _ROUNDS = 20, 5


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measure times.

    Args:
        rows: Of each table.
        out: Where the figures go.
    """

    rows: int = 1000
    out: Path = Path("benchmarks/results/automl/speed.json")


def of_lightgbm(task: AutomlTask, values: dict[str, float]) -> float:
    """Return the seconds that a loop of LightGBM's takes."""
    boosters = LightGBMBoosters(1)
    boosters.start(np.array([0]), [task], [0])
    booster = boosters.booster(0)
    started = time.process_time()
    for _ in range(_DECISIONS):
        booster.reset_parameter(to_lightgbm(values))
        for _ in range(_ROUNDS):
            booster.update()
            booster.eval_train()
            booster.eval_valid()
    return time.process_time() - started


def of_lanes(tasks: list[AutomlTask]) -> float:
    """Return the seconds that the own booster takes for all tasks at once."""
    boosters = NativeBoosters(len(tasks))
    boosters.start(np.arange(len(tasks)), tasks, list(range(len(tasks))))
    values = np.array([task.initial for task in tasks])
    best = np.full(len(tasks), np.inf)
    started = time.process_time()
    for _ in range(_DECISIONS):
        rounds = boosters.advance(values, np.full(len(tasks), _ROUNDS), best)
        best = np.minimum(best, np.nanmin(rounds.validation, axis=1))
    return time.process_time() - started


def of_environment(tasks: list[AutomlTask]) -> float:
    """Return the seconds that the steps of the environment take."""
    env = HPOControlVectorEnv(
        len(tasks), family="automl", tasks=tasks, autoreset_mode="Disabled", engine="native"
    )
    env.reset(seed=0)
    nothing = np.zeros(env.action_space.shape or (), np.float32)
    started = time.process_time()
    for _ in range(_DECISIONS):
        env.step(nothing)
    return time.process_time() - started


def main(config: Config) -> None:
    """Measure every target, and write the figures."""
    family = AutomlFamily(
        num_decisions=_DECISIONS, rounds_per_decision=_ROUNDS, most_rows=config.rows
    )
    every = AutomlFamily(
        split="validation",
        num_decisions=_DECISIONS,
        rounds_per_decision=_ROUNDS,
        most_rows=config.rows,
    )
    tasks = [task for task in (*family.tasks(), *every.tasks()) if task.num_rows >= 900]
    values = dict(zip(LIBRARY_NAMES, tasks[0].initial, strict=False))
    figures = {}
    for target in ("regression", "binary", "multiclass"):
        chosen = [task for task in tasks if task.target == target]
        of_lanes(chosen)  # the tables are put into bins, and the kernel is loaded
        seconds = {
            "lightgbm": sum(of_lightgbm(task, values) for task in chosen),
            "own, one lane": sum(of_lanes([task]) for task in chosen),
            "own, lanes": of_lanes(chosen),
            "environment": of_environment(chosen),
        }
        decisions = len(chosen) * _DECISIONS
        figures[target] = {
            "tables": len(chosen),
            **{f"decisions a second, {k}": round(decisions / v, 1) for k, v in seconds.items()},
            "times as fast, one lane": round(seconds["lightgbm"] / seconds["own, one lane"], 2),
            "times as fast, lanes": round(seconds["lightgbm"] / seconds["own, lanes"], 2),
        }
        print(target, figures[target], flush=True)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text(json.dumps({"rows": config.rows, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
