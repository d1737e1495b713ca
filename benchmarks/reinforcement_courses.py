"""What values far from the defaults do to PPO, one at a time and together, type by type.

    python benchmarks/reinforcement_courses.py --types docking crane --runs 24

Stable-Baselines3's defaults, kept, against the same with a rate of 1e-3, lambda .8, a clip range
of .4 or twenty epochs: where policies go on short episodes. `u` is the share of the way from the
random to the best known return, of training episodes, as a run in Stable-Baselines3 sees them; area
over all rollouts, final over the last tenth. Differences are between runs of the same seed, which
part at the first update, with a standard error.

Writes `courses.csv`, a row a type, course and run, into the output folder, after each course; rows
that are there already are not run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from hpo_env.seeding import stream
from hpo_env.tasks.reinforcement.columns import COLUMNS
from hpo_env.tasks.reinforcement.environments.registry import TYPE
from hpo_env.tasks.reinforcement.family import ReinforcementFamily
from hpo_env.tasks.reinforcement.memory import Learner
from hpo_env.tasks.reinforcement.native.kernel import Kernel
from hpo_env.tasks.reinforcement.returns import share
from hpo_env.tasks.reinforcement.task import ReinforcementTask

Array = NDArray[np.float64]

COURSES: Mapping[str, Mapping[str, float]] = {
    "defaults": {},
    "rate 1e-3": {"learning_rate": 1e-3},
    "lambda .8": {"gae_lambda": 0.8},
    "clip .4": {"clip_range": 0.4},
    "epochs 20": {"epochs": 20.0},
    "all": {"learning_rate": 1e-3, "gae_lambda": 0.8, "clip_range": 0.4, "epochs": 20.0},
}
"""What is set, and kept."""

_LENGTH, _RETURN = COLUMNS.index("episode_length"), COLUMNS.index("episode_return")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Compare courses on types of environment.

    Args:
        types: Names of types, of any side but test.
        courses: Which of `COURSES`; the defaults are always there.
        runs: Of each, over all physics in turn.
        rollouts: Of a run.
        shape: Environments side by side, and steps of each in a rollout.
        hidden: Units of each hidden layer, 32 or 64.
        out: Where the table goes.
    """

    types: tuple[str, ...]
    courses: tuple[str, ...] = tuple(COURSES)
    runs: int = 24
    rollouts: int = 60
    shape: tuple[int, int] = (1, 2048)
    hidden: int = 64
    out: Path = Path("logs/courses")


def drawn(config: Config, name: str) -> list[ReinforcementTask]:
    """Draw the tasks of a type, nothing normalised, its physics in turn."""
    kind, tasks = TYPE[name], []
    for k in range(config.runs):
        family = ReinforcementFamily(
            split=kind.split,
            environment=name,
            physics=list(kind.physics)[k % len(kind.physics)],
            algorithm="ppo",
            shape=(*config.shape, 1),
            num_decisions=config.rollouts,
            hidden=config.hidden,
            normalises=False,
            start="default",
        )
        tasks.append(family.sample(stream(k, "courses", name)))
    return tasks


def run(config: Config, name: str, course: str) -> pd.DataFrame:
    """Run a course on a type; a row a run."""
    tasks, kernel, space = drawn(config, name), Kernel(), ReinforcementFamily().space
    values = np.array([task.initial for task in tasks])
    for changed, value in COURSES[course].items():
        values[:, space.index(changed)] = value
    learners = [Learner(task, 1000 + k) for k, task in enumerate(tasks)]
    kernel.begin(learners, values)
    measured = np.stack([kernel.advance(learners, values) for _ in range(config.rollouts)])
    returns, lengths = measured[..., _RETURN], measured[..., _LENGTH]
    last = max(1, config.rollouts // 10)
    rows = []
    for k, task in enumerate(tasks):
        curve = np.array([share(name, task.physics, value) for value in returns[:, k]])
        rows.append(
            {
                "type": name,
                "course": course,
                "physics": task.physics,
                "run": k,
                "first": np.nanmean(curve[:3]),
                "area": np.nanmean(curve),
                "final": np.nanmean(curve[-last:]),
                "length": np.nanmean(lengths[:, k]),
            }
        )
    return pd.DataFrame(rows)


def main(config: Config) -> None:
    """Run what is missing, and print the table."""
    place = config.out / "courses.csv"
    place.parent.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(place) if place.exists() else pd.DataFrame(columns=["type", "course"])
    for name in config.types:
        for course in dict.fromkeys(("defaults", *config.courses)):
            if not ((table["type"] == name) & (table["course"] == course)).any():
                table = pd.concat([table, run(config, name, course)], ignore_index=True)
                table.to_csv(place, index=False)
        print(told(table[table["type"] == name]), flush=True)


def told(rows: pd.DataFrame) -> str:
    """Say what each course makes of a type, as rows of a table in Markdown."""
    kept = rows[rows["course"] == "defaults"]
    lines = []
    for course in rows["course"].unique():
        group = rows[rows["course"] == course]
        means = [f"{group[name].mean():.3f}" for name in ("area", "final")]
        against = [_against(group, kept, name) for name in ("area", "final")]
        cells = [rows["type"].iloc[0], course, *means, *against, f"{group['length'].mean():.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _against(group: pd.DataFrame, kept: pd.DataFrame, name: str) -> str:
    ahead: Array = group[name].to_numpy() - kept[name].to_numpy()
    return f"{ahead.mean():+.3f} ± {ahead.std(ddof=1) / np.sqrt(len(ahead)):.3f}"


if __name__ == "__main__":
    main(tyro.cli(Config))
