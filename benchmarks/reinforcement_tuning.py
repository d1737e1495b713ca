"""Tune the settings that agents begin with on the training types: the learned start.

    python benchmarks/reinforcement_tuning.py --out benchmarks/results/reinforcement/tuned.json

A case is an algorithm and a kind of actions. Of each, settings are searched by the cross-entropy
method (Rubinstein 1999) for the share `u` of the way from the random to the best known return, the
mean of the whole curve's and of its end's, over all training types of the kind. Types and seeds are
drawn anew in each generation and are the same for all of its candidates. The last word has a
longer comparison, again on training types: what was found against what was there before. Nothing
of the other sides is looked at.

Axes: `N` lanes, `T` intervals, `H` hyperparameters.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray

from benchmarks.reinforcement import curves, keep, setting_of
from hpo_env.seeding import stream
from hpo_env.starts import Problem
from hpo_env.tasks.reinforcement.environments.registry import types_of
from hpo_env.tasks.reinforcement.facts import CONTINUOUS, DISCRETE
from hpo_env.tasks.reinforcement.family import ReinforcementFamily
from hpo_env.tasks.reinforcement.space import LACKS
from hpo_env.tasks.reinforcement.starts import LEARNED_START
from hpo_env.tasks.reinforcement.task import Algorithm, ReinforcementTask

Array = NDArray[np.float64]

CASES: tuple[tuple[Algorithm, bool], ...] = (("ppo", True), ("ppo", False), ("a2c", True))
"""Algorithm, and whether actions are discrete; A2C's case is about both."""

SHAPES: dict[Algorithm, tuple[tuple[int, int, int], ...]] = {
    "ppo": ((1, 2048, 1), (8, 128, 1), (4, 256, 1), (1, 1024, 1)),
    "a2c": ((8, 16, 8), (16, 5, 13), (1, 5, 205)),
}
RANGES = {
    "learning_rate": (3e-4, 2e-2),
    "discount": (0.9, 0.998),
    "gae_lambda": (0.8, 0.995),
    "entropy": (1e-5, 5e-2),
    "clip_range": (0.1, 0.5),
    "epochs": (3.0, 20.0),
}
_LAST = 3
_ELITE = 0.3
_SPREAD = 0.25  # of the first generation, as a share of the ranges
_LEAST_SPREAD = 0.05


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to search, and how long.

    Args:
        out: Where to write what was found.
        decisions: Intervals of a run, of 1,024 or 2,048 steps each.
        generations: Of the search.
        candidates: Settings in a generation.
        runs: Of each type with each candidate.
        final_runs: Of each type in the last comparison.
        seed: Of the search.
        only: Places in `CASES` of the cases to search; all when none is given.
    """

    out: Annotated[Path, tyro.conf.arg(name="out")]
    decisions: int = 24
    generations: int = 8
    candidates: int = 16
    runs: int = 2
    final_runs: int = 10
    seed: int = 0
    only: tuple[int, ...] = ()


def drawn_tasks(
    config: Config, algorithm: Algorithm, is_discrete: bool, key: object, runs: int
) -> list[ReinforcementTask]:
    """Draw as many tasks of each training type of a kind."""
    tasks = []
    for kind in types_of("train"):
        if algorithm == "ppo" and kind.rules.is_discrete != is_discrete:
            continue
        rng = stream(config.seed, "tuned", kind.name, str(key))
        for _ in range(runs):
            shapes = SHAPES[algorithm]
            family = ReinforcementFamily(
                environment=kind.name,
                shape=shapes[int(rng.integers(len(shapes)))],
                algorithm=algorithm,
                num_decisions=config.decisions,
                start="default",
            )
            tasks.append(family.sample(rng))
    return tasks


def scores(settings: list[dict[str, float]], tasks: list[ReinforcementTask], seed: int) -> Array:
    """Keep each setting over all tasks; `u` of curve and end, each type weighing the same."""
    found = []
    for setting in settings:
        u = curves([setting_of(setting, task) for task in tasks], keep, seed=seed)
        found.append((u.mean(axis=1) + u[:, -_LAST:].mean(axis=1)) / 2.0)
    return np.stack(found)


def searched(
    config: Config, algorithm: Algorithm, is_discrete: bool, kind: str
) -> dict[str, dict[str, float] | list[float]]:
    """Search a case."""
    space = ReinforcementFamily().space.subset(RANGES)
    low, high = (space.to_axis(np.array([r[k] for r in RANGES.values()])) for k in (0, 1))
    before = LEARNED_START.values_for(Problem(kind=kind))
    first = np.array([before[name] for name in RANGES])
    mean, spread = space.to_axis(first), _SPREAD * (high - low)
    rng = stream(config.seed, "settings", algorithm, str(is_discrete))

    def setting(point: Array) -> dict[str, float]:
        values = space.values(space.defaults, point - space.to_axis(space.defaults))
        named = dict(zip(RANGES, values.tolist(), strict=True))
        return {n: v for n, v in named.items() if algorithm == "ppo" or n not in LACKS["a2c"]}

    for generation in range(config.generations):
        noise = rng.standard_normal((config.candidates, len(mean)))
        points = np.clip(mean + spread * noise, low, high)
        tasks = drawn_tasks(config, algorithm, is_discrete, generation, config.runs)
        found = scores([setting(p) for p in points], tasks, seed=1000 * generation).mean(axis=1)
        elite = points[np.argsort(-found, kind="stable")[: round(_ELITE * config.candidates)]]
        mean = 0.3 * mean + 0.7 * elite.mean(axis=0)
        spread = np.maximum(0.3 * spread + 0.7 * elite.std(axis=0), _LEAST_SPREAD * (high - low))
        print(algorithm, is_discrete, generation, found.round(3), setting(mean), flush=True)
    default = {n: float(space.defaults[space.index(n)]) for n in RANGES}
    names = ("found", "before", "default")
    compared = [setting(mean), before, default]
    tasks = drawn_tasks(config, algorithm, is_discrete, "last", config.final_runs)
    last = scores(compared, tasks, seed=10**6)
    errors = last.std(axis=1, ddof=1) / np.sqrt(last.shape[1])
    shown = {n: [float(s.mean()), float(e)] for n, s, e in zip(names, last, errors, strict=True)}
    print(algorithm, is_discrete, shown, flush=True)
    return {"setting": setting(mean), **shown}


def main(config: Config) -> None:
    """Search, and write what was found as it comes."""
    found = json.loads(config.out.read_text()) if config.out.exists() else {}
    for place, (algorithm, is_discrete) in enumerate(CASES):
        if config.only and place not in config.only:
            continue
        start = time.process_time()
        kind = algorithm if algorithm == "a2c" else DISCRETE if is_discrete else CONTINUOUS
        row = searched(config, algorithm, is_discrete, kind)
        found[kind] = row | {"seconds": time.process_time() - start}
        config.out.parent.mkdir(parents=True, exist_ok=True)
        config.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
