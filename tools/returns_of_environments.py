"""Make the table of best and random returns of the environments of reinforcement learning.

For every type and physics, learners are run under settings drawn at random, each with another seed;
what a learner gets at its best interval is measured again on fresh episodes, and the highest of
that is the best known return. Policies act as they learn, by drawing. Types that can be solved
(`environments.exact`) are, and nothing is searched for. The random policy is a learner before its
first update.

    python tools/returns_of_environments.py --out hpo_env/tasks/reinforcement/returns.json

Rows that are there already are kept; the file is written after each, so that an interrupted run
goes on. `--improve` searches for all again, with other draws, and keeps the higher of both. Where
episodes are long other settings are good: `--ranges long` draws from those.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.seeding import stream
from hpo_env.tasks.reinforcement.environments.base import EnvironmentType
from hpo_env.tasks.reinforcement.environments.exact import solved
from hpo_env.tasks.reinforcement.environments.registry import TYPE, TYPES
from hpo_env.tasks.reinforcement.family import ReinforcementFamily
from hpo_env.tasks.reinforcement.memory import Learner
from hpo_env.tasks.reinforcement.native.kernel import Kernel
from hpo_env.tasks.reinforcement.space import HYPERPARAMETERS

Array = NDArray[np.float64]

_SHORT = {  # where tuned settings lie; drawn evenly on each hyperparameter's axis
    "learning_rate": (3e-4, 1e-2),
    "discount": (0.9, 0.999),
    "gae_lambda": (0.8, 0.99),
    "entropy": (1e-5, 3e-2),
    "clip_range": (0.1, 0.4),
    "epochs": (4.0, 10.0),
    "batch_size": (128.0, 512.0),
}
_RANGES = {
    "short": _SHORT,
    "long": _SHORT
    | {
        "learning_rate": (1e-4, 3e-3),
        "discount": (0.99, 0.999),
        "gae_lambda": (0.9, 0.98),
        "entropy": (1e-5, 1e-2),
        "batch_size": (64.0, 256.0),
    },
}
"""Of episodes of up to 200 steps or so, and of longer ones."""

_EPISODES = 32
_FRESH_EPISODES = 256


def draw_values(rng: np.random.Generator, ranges: Mapping[str, tuple[float, float]]) -> Array:
    """Draw a setting `[H]`."""
    space = ReinforcementFamily().space
    low = np.array([ranges.get(h.name, (h.default, h.default))[0] for h in HYPERPARAMETERS])
    high = np.array([ranges.get(h.name, (h.default, h.default))[1] for h in HYPERPARAMETERS])
    ends = space.to_axis(np.stack([low, high]))
    own = space.to_axis(space.defaults)
    return space.values(space.defaults, rng.uniform(ends[0], ends[1]) - own)


def exact(kind: EnvironmentType, physics: str) -> dict[str, Any] | None:
    """Return the row of an environment that can be solved."""
    found = solved(kind, physics)
    if found is None:
        return None
    return {"best": round(found[0], 4), "random": round(found[1], 4), "how": "solved"}


def measured(
    kernel: Kernel,
    kind: EnvironmentType,
    physics: str,
    *,
    ranges: str,
    settings: int,
    steps: int,
    seed: int,
) -> dict[str, Any]:
    """Search for the best return of one environment; see the module."""
    learners, values = [], []
    for k in range(settings):
        rng = stream(seed, "setting", kind.name, physics, k)
        family = ReinforcementFamily(
            split=kind.split,
            environment=kind.name,
            physics=physics,
            start="default",
            shape=(8, 256, 2),
            normalises=k % 2 == 0,
            algorithm="ppo",
        )
        learners.append(Learner(family.sample(rng), int(rng.integers(2**31))))
        values.append(draw_values(rng, _RANGES[ranges]))
    kernel.begin(learners, np.array(values))
    seeds = np.arange(settings, dtype=np.uint64)
    random = kernel.evaluate(learners, _FRESH_EPISODES, seeds).mean()
    best = np.full(settings, -np.inf)
    kept = [learner.numbers.copy() for learner in learners]
    for interval in range(steps // 4096):
        kernel.advance(learners, np.array(values))
        returns = kernel.evaluate(learners, _EPISODES, seeds + 1000 * (interval + 1)).mean(axis=1)
        for k in np.flatnonzero(returns > best).tolist():
            best[k], kept[k] = returns[k], learners[k].numbers.copy()
    for learner, numbers in zip(learners, kept, strict=True):
        learner.numbers[:] = numbers
    fresh = kernel.evaluate(learners, _FRESH_EPISODES, seeds + 7_777_777).mean(axis=1)
    winner = int(np.argmax(fresh))
    return {
        "best": round(float(max(fresh[winner], random)), 4),
        "random": round(float(random), 4),
        "median": round(float(np.median(fresh)), 4),
        "how": "search",
    }


def main() -> None:
    """Fill the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--settings", type=int, default=16)
    parser.add_argument("--steps", type=int, default=122_880)
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--ranges", choices=tuple(_RANGES), default="short")
    parser.add_argument("--types", nargs="*", default=[k.name for k in TYPES], choices=TYPE)
    parser.add_argument("--improve", action="store_true")
    arguments = parser.parse_args()
    kernel = Kernel()
    table = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for kind in (TYPE[name] for name in arguments.types):
        rows = table.setdefault(kind.name, {})
        for physics in kind.physics:
            known = rows.get(physics)
            if known and (not arguments.improve or known["how"] == "solved"):
                continue
            start = time.perf_counter()
            found = exact(kind, physics) or measured(
                kernel,
                kind,
                physics,
                ranges=arguments.ranges,
                settings=arguments.settings,
                steps=arguments.steps,
                seed=arguments.seed,
            )
            seconds = time.perf_counter() - start
            print(f"{kind.name} {physics}: {known} then {found} in {seconds:.0f} s", flush=True)
            if not known or found["best"] > known["best"]:
                rows[physics] = found | ({"random": known["random"]} if known else {})
            arguments.out.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
