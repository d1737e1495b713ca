"""Train PPO on the two families whose best answer is known, and say how near it comes.

    python benchmarks/known_answers.py --json known_answers.json

`quadratic`: the fall of the log loss, as a share of the fall under the best schedule there is, by
initial learning rate. `local_level`: the forecast error in the last interval over the error at the
Kalman gain on the same series, by noise ratio. Both on the test split, which training never saw.
Training takes at most two minutes a family on one core.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

from agents.config import TrainConfig
from agents.meta_training import meta_train
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from hpo_env.tasks.local_level import LocalLevelFamily, kalman_gain
from hpo_env.tasks.quadratic import QuadraticFamily, optimal_rates
from hpo_env.vector_env import HPOControlVectorEnv

Array = NDArray[np.float64]

STEPS = {"quadratic": 600_000, "local_level": 130_000}
"""Environment steps of training that fit into two minutes of one core, with some room."""

_TASKS_A_ROW = 32
_INITIAL_RATES = np.logspace(-5, 1, 7)
_SEED = 0  # of the test tasks; training has its own


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table.

    Args:
        start: Initial learning rate, or noise ratio.
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


def run_policy(policy: Policy | None, family: str, tasks: list[Any]) -> dict[str, Any]:
    """Run one episode on each task and return the last step's information.

    Args:
        policy: What chooses; None leaves every value where it starts, whatever the schedule.
        family: The tasks' family.
        tasks: One task a lane.
    """
    env = HPOControlVectorEnv(
        len(tasks),
        family=family,
        split="test",
        tasks=tasks,
        action_mode="continuous",
        base_schedule="constant" if policy is None else policy.base_schedule,
    )
    observations, _ = env.reset(seed=_SEED)
    for _ in range(tasks[0].num_decisions):
        actions = (
            np.zeros((len(tasks), len(env.controlled)))
            if policy is None
            else policy.act(observations)
        )
        observations, _, _, _, info = env.step(actions)
    final: dict[str, Any] = info["final_info"]
    return final


def quadratic(policy: Policy, *, share: float = 0.9) -> list[Row]:
    """Compare with the best schedule, from each initial rate."""
    rng = np.random.default_rng(_SEED)
    family = QuadraticFamily(split="test")
    drawn = [family.sample(rng) for _ in range(_TASKS_A_ROW)]
    tasks = [replace(t, initial=(float(rate),)) for rate in _INITIAL_RATES for t in drawn]
    first = np.array([0.5 * t.curvature for t in tasks])
    best = np.log(first / np.array([optimal_rates(t)[1][-1] for t in tasks]))
    # A diverged lane starts anew in the same step; its last loss is what it diverged with.
    reached = np.log(first / run_policy(policy, "quadratic", tasks)["test_loss"])
    shape = (len(_INITIAL_RATES), _TASKS_A_ROW)
    reached, best = reached.reshape(shape), best.reshape(shape)
    ratios = reached.mean(axis=1) / best.mean(axis=1)
    worst = (reached / best).min(axis=1)
    return [
        Row(start=float(s), result=float(r), worst=float(w), limit=share, passed=bool(r >= share))
        for s, r, w in zip(_INITIAL_RATES, ratios, worst, strict=True)
    ]


def local_level(policy: Policy, *, factor: float = 1.05) -> list[Row]:
    """Compare with the Kalman gain on the same series, for each unseen noise ratio."""
    rng = np.random.default_rng(_SEED)
    family = LocalLevelFamily(split="test")
    ratios = sorted(family.sample(rng).noise_ratio for _ in range(8))
    drawn: list[Any] = [family.sample(rng) for _ in range(_TASKS_A_ROW)]
    tasks = [replace(t, noise_ratio=q) for q in ratios for t in drawn]
    known = [replace(t, initial=(kalman_gain(t.noise_ratio),)) for t in tasks]
    reached = run_policy(policy, "local_level", tasks)["test_loss"]
    best = run_policy(None, "local_level", known)["test_loss"]
    errors = (reached / best).reshape(len(ratios), _TASKS_A_ROW)
    return [
        Row(
            start=q,
            result=float(e.mean()),
            worst=float(e.max()),
            limit=factor,
            passed=bool(e.mean() <= factor),
        )
        for q, e in zip(ratios, errors, strict=True)
    ]


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
}


def main(
    family: tuple[str, ...] = ("quadratic", "local_level"),
    seed: tuple[int, ...] = (0,),
    steps: int | None = None,
    json_path: Path | None = None,
) -> None:
    """Train and compare.

    Args:
        family: Which of the two families.
        seed: Seeds of meta-training; each trains its own agent.
        steps: Environment steps; what takes up to two minutes when not given.
        json_path: Where to write the rows as JSON.
    """
    outcomes = []
    with tempfile.TemporaryDirectory() as run_dir:
        for name in family:
            for s in seed:
                policy, seconds = train(name, steps=steps, seed=s, run_dir=Path(run_dir))
                compare, label, title = COMPARISONS[name]
                rows = compare(policy)
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
