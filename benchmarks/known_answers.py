"""Train PPO on the families whose best answer is known, and say how near it comes.

    python benchmarks/known_answers.py --json known_answers.json
    python benchmarks/known_answers.py --family schedule_law --policy supervised

`quadratic`: the fall of the log loss, as a share of the fall under the best schedule there is, by
initial learning rate. `local_level`: the forecast error in the last interval over the error at the
Kalman gain on the same series, by noise ratio. `schedule_law`: the fall of the log loss, as a share
of that under the best course, by length. All on the test split, which training never saw.
Training takes at most two minutes a family on one core.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from agents.config import TrainConfig
from agents.meta_training import meta_train
from agents.opponents.ablations import PolicyOpponent
from agents.opponents.base import Instance
from agents.opponents.drawing import make_tasks
from agents.opponents.known_answers import (
    KalmanGain,
    drop_share,
    local_level_error_ratios,
)
from agents.opponents.lanes import Workload
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from hpo_env.restriction import restrict
from hpo_env.shipped import policy_folder
from hpo_env.tasks.base import Task
from hpo_env.tasks.local_level import LocalLevelFamily, LocalLevelTask
from hpo_env.tasks.quadratic import QuadraticFamily
from hpo_env.tasks.schedule_law import ScheduleLawFamily

STEPS = {"quadratic": 600_000, "local_level": 130_000, "schedule_law": 600_000}
"""Environment steps of training that fit into two minutes of one core, with some room."""

_TASKS_A_ROW = 32
_INITIAL_RATES = tuple(10.0**exponent for exponent in range(-5, 2))
_LENGTHS = (1_000, 10_000, 100_000)
_SEED = 0  # of the test tasks; training has its own


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table.

    Args:
        start: Initial learning rate, noise ratio, or updates in a run.
        result: Mean over tasks of what the title says.
        worst: The worst of the tasks.
        limit: What `result` has to reach or stay below.
        passed: Whether it does.
    """

    start: float
    result: float
    worst: float
    limit: float
    passed: bool


def train(family: str, *, steps: int | None, seed: int, run_dir: Path) -> tuple[Policy, float]:
    """Train PPO with the family's settings; return the exported policy and the seconds it took."""
    start = time.perf_counter()
    config = TrainConfig(
        family=family, steps=steps or STEPS[family], seed=seed, run_dir=run_dir, progress="lines"
    )
    folder = meta_train(config)
    return load(folder / "policy"), time.perf_counter() - start


def quadratic(policy: Policy, *, share: float = 0.9) -> list[Row]:
    """Compare with the best schedule, from each initial rate."""
    family = QuadraticFamily(split="test")
    tasks = make_tasks(family, _TASKS_A_ROW, _SEED, starts=_INITIAL_RATES)
    instances = [Instance(task=task, seed=_SEED) for task in tasks]
    controller = PolicyOpponent(name="controller", policy=policy)
    outcomes = controller.run(Workload(family="quadratic"), instances, {})
    rows = []
    for rate in _INITIAL_RATES:
        same = [i for i, task in enumerate(tasks) if task.initial[0] == rate]
        chosen, reached = [instances[i] for i in same], [outcomes[i] for i in same]
        mean = drop_share(chosen, reached)
        worst = min(drop_share([one], [its]) for one, its in zip(chosen, reached, strict=True))
        rows.append(Row(start=rate, result=mean, worst=worst, limit=share, passed=mean >= share))
    return rows


def local_level(policy: Policy, *, factor: float = 1.05) -> list[Row]:
    """Compare with the Kalman gain on the same series, for each unseen noise ratio."""
    family = LocalLevelFamily(split="test")
    drawn = make_tasks(family, _TASKS_A_ROW, _SEED)
    unseen = sorted(drawn[: len(drawn) // 4], key=_noise_ratio)
    workload = Workload(family="local_level")
    controller = PolicyOpponent(name="controller", policy=policy)
    rows = []
    for ratio in map(_noise_ratio, unseen):
        instances = [Instance(task=_with_noise_ratio(task, ratio), seed=_SEED) for task in drawn]
        outcomes, oracle = (o.run(workload, instances, {}) for o in (controller, KalmanGain()))
        ratios = local_level_error_ratios(instances, outcomes, oracle)
        mean, worst = float(np.exp(np.log(ratios).mean())), float(ratios.max())
        rows.append(Row(start=ratio, result=mean, worst=worst, limit=factor, passed=mean <= factor))
    return rows


def law(policy: Policy, *, share: float = 0.97) -> list[Row]:
    """Compare with the best course, at each length, from any initial rate."""
    workload, rate_alone = Workload(family="schedule_law"), restrict(policy, ["learning_rate"])
    controller = PolicyOpponent(name="controller", policy=rate_alone)
    rows = []
    for length in _LENGTHS:
        family = ScheduleLawFamily(split="test", num_decisions=30, num_updates=length)
        tasks = make_tasks(family, _TASKS_A_ROW, _SEED)
        instances = [Instance(task=task, seed=_SEED) for task in tasks]
        reached = controller.run(workload, instances, {})
        mean = drop_share(instances, reached)
        pairs = zip(instances, reached, strict=True)
        worst = min(drop_share([one], [its]) for one, its in pairs)
        rows.append(Row(start=length, result=mean, worst=worst, limit=share, passed=mean >= share))
    return rows


def _with_noise_ratio(task: Task, ratio: float) -> Task:
    assert isinstance(task, LocalLevelTask)
    return replace(task, noise_ratio=ratio)


def _noise_ratio(task: Task) -> float:
    assert isinstance(task, LocalLevelTask)
    return task.noise_ratio


COMPARISONS: dict[str, tuple[Callable[[Policy], list[Row]], str, str]] = {
    "quadratic": (
        quadratic,
        "initial rate",
        "log-loss drop, as a share of the best schedule's (at least {limit:.2f})",
    ),
    "local_level": (
        local_level,
        "noise ratio",
        "forecast error over that at the Kalman gain (at most {limit:.2f})",
    ),
    "schedule_law": (
        law,
        "updates",
        "log-loss drop, as a share of the best course's (at least {limit:.2f})",
    ),
}


def main(
    family: tuple[str, ...] = ("quadratic", "local_level", "schedule_law"),
    seed: tuple[int, ...] = (0,),
    steps: int | None = None,
    policy: str | None = None,
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Train and compare.

    Args:
        family: Which of the families.
        seed: Seeds of meta-training; each trains its own agent.
        steps: Environment steps; what takes up to two minutes when not given.
        policy: Name of a shipped policy, or the folder of one, to be measured; none is trained.
        json_path: Where to write the rows as JSON.
    """
    outcomes = []
    with tempfile.TemporaryDirectory() as run_dir:
        for name in family:
            for s in seed:
                if policy is None:
                    found, seconds = train(name, steps=steps, seed=s, run_dir=Path(run_dir))
                else:
                    found, seconds = load(policy_folder(policy)), 0.0
                compare, label, title = COMPARISONS[name]
                rows = compare(found)
                print(f"\n{name}, seed {s}, trained for {seconds:.0f} s")
                print(title.format(limit=rows[0].limit))
                print(f"{label:>14} {'mean':>8} {'worst task':>11}")
                for row in rows:
                    mark = "" if row.passed else "   missed"
                    print(f"{row.start:14.3g} {row.result:8.3f} {row.worst:11.3f}{mark}")
                outcomes.append(
                    {
                        "family": name,
                        "seed": s,
                        "seconds": round(seconds, 1),
                        "rows": [vars(row) for row in rows],
                    }
                )
    if json_path is not None:
        json_path.write_text(json.dumps(outcomes, indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
