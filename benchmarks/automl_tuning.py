"""Tune one setting, and one course, of boosting on the training tables: where policies begin.

    python benchmarks/automl_tuning.py --out benchmarks/results/automl/tuned.json

A case is a target and a size of the training rows. Of each, settings are searched by the
cross-entropy method (Rubinstein 1999) for the mean log test loss at the best round on validation
rows: the rows that a table of the training side is tested on are training data here, and tell more
than those by which the best round was chosen. A course goes in a straight line, on the axes of the
hyperparameters, from one setting to another. Nothing of the other sides is looked at.

Axes: `N` lanes, `T` intervals, `H` hyperparameters.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray

from hpo_env.tasks.automl.family import AutomlFamily
from hpo_env.tasks.automl.space import LIBRARY_NAMES
from hpo_env.tasks.automl.task import AutomlTask, Target

Array = NDArray[np.float64]

CASES: tuple[tuple[Target, int, int], ...] = (
    ("regression", 0, 1000),
    ("regression", 1000, 100_000),
    ("binary", 0, 1000),
    ("binary", 1000, 100_000),
    ("multiclass", 0, 100_000),
)
"""Target, and least and most training rows; there are too few tables of several classes to part."""

_NUM = len(LIBRARY_NAMES)
_ELITE = 0.25


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to search, and how long.

    Args:
        out: Where to write what was found.
        decisions: Intervals of a run, of five rounds each.
        generations: Of the search.
        candidates: Settings in a generation.
        lanes: Parts of tables that a setting is tried on.
        seed: Of the search.
        only: Places in `CASES` of the cases to search; all when none is given.
    """

    out: Annotated[Path, tyro.conf.arg(name="out")]
    decisions: int = 40
    generations: int = 8
    candidates: int = 16
    lanes: int = 24
    seed: int = 0
    only: tuple[int, ...] = ()


def tasks_of(family: AutomlFamily, case: tuple[Target, int, int], lanes: int) -> list[AutomlTask]:
    """Draw parts of training tables that a case is about, each table in turn."""
    target, least, most = case
    found: list[AutomlTask] = []
    for seed in range(40):
        for task in family.tasks(seed):
            rows = family.problem(task).size or 0.0
            if task.target == target and least <= rows < most:
                found.append(task)
        if len(found) >= lanes:
            break
    return found[:lanes]


def run(family: AutomlFamily, tasks: list[AutomlTask], courses: Array) -> Array:
    """Boost tasks along courses `[N, T, H]`; return log test losses of the best rounds `[N]`."""
    trainer = family.make_trainer(len(tasks), engine="native", device="cpu")
    every = np.arange(len(tasks))
    trainer.reset(every, list(tasks), [7 + k for k in range(len(tasks))])
    for interval in range(courses.shape[1]):
        trainer.advance(courses[:, interval])
    return np.asarray(np.log(trainer.test(every)[0]))


def course_of(family: AutomlFamily, ends: Array, decisions: int) -> Array:
    """Return values `[T, H]` on the way between settings on the axes `[1 or 2, H of libraries]`."""
    space = family.space
    weight = np.linspace(0.0, 1.0, decisions)[:, None]
    line = ends[0] + (ends[-1] - ends[0]) * weight
    start = space.defaults
    axis = np.tile(space.to_axis(start), (decisions, 1))
    axis[:, :_NUM] = line
    return space.values(np.tile(start, (decisions, 1)), axis - space.to_axis(start))


def search(
    family: AutomlFamily, tasks: list[AutomlTask], ends: Array, spread: Array, config: Config
) -> tuple[Array, float]:
    """Search around settings on the axes; return what was found and its gain over the first."""
    rng = np.random.default_rng(config.seed)
    space = family.space
    low = space.to_axis(space.low)[:_NUM]
    high = space.to_axis(space.high)[:_NUM]
    first = np.nan
    for generation in range(config.generations):
        drawn = ends + spread * rng.normal(size=(config.candidates, *ends.shape))
        drawn = np.clip(drawn, low, high)
        drawn[0] = ends
        courses = [course_of(family, one, config.decisions) for one in drawn]
        lanes = np.concatenate([np.tile(c, (len(tasks), 1, 1)) for c in courses])
        losses = run(family, tasks * len(drawn), lanes).reshape(len(drawn), len(tasks)).mean(axis=1)
        first = losses[0] if generation == 0 else first
        best = drawn[np.argsort(losses)[: max(2, int(_ELITE * len(drawn)))]]
        ends = 0.3 * ends + 0.7 * best.mean(axis=0)
        spread = 0.3 * spread + 0.7 * (best.std(axis=0) + 0.02 * (high - low))
        print(f"  {generation}: mean {losses[0]:.4f}, best {losses.min():.4f}", flush=True)
    final = run(
        family, tasks, np.tile(course_of(family, ends, config.decisions), (len(tasks), 1, 1))
    )
    return ends, float(first - final.mean())


def values_of(family: AutomlFamily, ends: Array) -> list[dict[str, float]]:
    """Name the settings of a course."""
    courses = course_of(family, ends, len(ends) if len(ends) > 1 else 1)
    return [dict(zip(LIBRARY_NAMES, row[:_NUM].round(4).tolist(), strict=True)) for row in courses]


def main(config: Config) -> None:
    """Search every case, and write what was found as soon as it is."""
    family = AutomlFamily(num_decisions=config.decisions, rounds_per_decision=5)
    space = family.space
    low, high = space.to_axis(space.low)[:_NUM], space.to_axis(space.high)[:_NUM]
    first = space.to_axis(np.array([0.05, 12.0, 10.0, 1.0, 0.8, 0.6, 0.0]))[None, :_NUM]
    config.out.parent.mkdir(parents=True, exist_ok=True)
    written = json.loads(config.out.read_text()) if config.out.is_file() else {}
    for place, case in enumerate(CASES):
        if config.only and place not in config.only:
            continue
        started = time.process_time()
        is_large = case[1] > 0
        drawer = AutomlFamily(num_decisions=config.decisions, rounds_per_decision=5)
        tasks = tasks_of(drawer, case, config.lanes if not is_large else config.lanes // 2)
        print(f"{case}: {len(tasks)} parts of {len({t.table for t in tasks})} tables", flush=True)
        setting, gain = search(family, tasks, first, (high - low) / 5.0, config)
        course, more = search(
            family, tasks, np.repeat(setting, 2, axis=0), (high - low) / 8.0, replace(config)
        )
        written["/".join(map(str, case))] = {
            "setting": values_of(family, setting)[0],
            "course": values_of(family, course),
            "gain_of_setting": gain,
            "gain_of_course_over_setting": more,
            "seconds": round(time.process_time() - started, 1),
        }
        config.out.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config, args=sys.argv[1:]))
