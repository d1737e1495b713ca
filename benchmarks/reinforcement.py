"""Policies that tune agents while they learn, on types of environment they never saw.

    python benchmarks/reinforcement.py --policies logs/a/policy logs/b/policy
    python benchmarks/reinforcement.py --on test --policies logs/a/policy

Beside each policy run, on the same tasks and from the same starts: what was there, kept; the same
with other seeds, for the size of chance; one setting that is good on the training types, from the
first update on (goto); and a learning rate that follows the divergence of updates, as in rsl_rl.
Measured is the share `u` of the way from the random to the best known return, 1 at the best: at the
end (mean of the last three intervals) and over the whole curve (area). Differences are paired over
runs, meaned within a type, and their intervals of 95 % resample types.

`--on test` opens the held-out side: what is to be shipped has to be chosen on `validation` before.

Writes `<on>.csv` (a row an opponent, start and type) and `<on>.md` into the output folder. Goto's
setting is the family's `starts.TUNED`; `--goto search` finds one, on training types, and stops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from hpo_env.policy_file import load
from hpo_env.seeding import stream
from hpo_env.tasks.base import Split
from hpo_env.tasks.reinforcement.environments.registry import types_of
from hpo_env.tasks.reinforcement.family import ReinforcementFamily
from hpo_env.tasks.reinforcement.measures import COLUMN
from hpo_env.tasks.reinforcement.returns import REGRET_FLOOR
from hpo_env.tasks.reinforcement.space import CONTROLLED, HYPERPARAMETERS
from hpo_env.tasks.reinforcement.starts import TUNED
from hpo_env.tasks.reinforcement.task import ReinforcementTask
from hpo_env.tasks.reinforcement.trainer import ReinforcementTrainer
from hpo_env.vector_env import HPOControlVectorEnv

Array = NDArray[np.float64]
Start = Literal["default", "random", "tuned"]
Act = Callable[[NDArray[np.float32], HPOControlVectorEnv], Array]

_LAST = 3
_NUM_RESAMPLES = 4000
_TARGET_DIVERGENCE = 0.01  # as in rsl_rl, with its band of a factor of 2 and its steps of 1.5
_RANGES = {  # from which goto is drawn, evenly on each axis
    "learning_rate": (2e-4, 2e-2),
    "discount": (0.9, 0.999),
    "gae_lambda": (0.8, 0.99),
    "entropy": (1e-5, 3e-2),
    "clip_range": (0.1, 0.4),
    "epochs": (3.0, 16.0),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Compare policies on types of environment.

    Args:
        policies: Folders of policies.
        on: validation (for decisions), or the held-out types.
        runs: Of each type and start.
        starts: "default" for Stable-Baselines3's, "random" for any, "tuned" for goto's.
        shape: Environments side by side, steps of each in a rollout, rollouts in an interval.
        num_decisions: Intervals in a run.
        goto: "known" for the family's setting, "search" to look for one.
        candidates: Settings that are drawn in the search.
        out: Where the tables go.
    """

    policies: tuple[Path, ...] = ()
    on: Literal["validation", "test"] = "validation"
    runs: int = 64
    starts: tuple[Start, ...] = ("default", "random", "tuned")
    shape: tuple[int, int, int] = (8, 128, 1)
    num_decisions: int = 20
    goto: Literal["known", "search"] = "known"
    candidates: int = 32
    out: Path = Path("benchmarks/results/reinforcement")


def drawn_tasks(config: Config, split: Split, start: str, runs: int) -> list[ReinforcementTask]:
    """Draw as many tasks of each type of a side."""
    tasks = []
    for kind in types_of(split):
        family = ReinforcementFamily(
            split=split,
            environment=kind.name,
            shape=config.shape,
            algorithm="ppo",
            num_decisions=config.num_decisions,
            start="random" if start == "random" else "default",
        )
        tasks += [family.sample(stream(k, "compared", kind.name)) for k in range(runs)]
    return tasks


def curves(tasks: Sequence[ReinforcementTask], act: Act, seed: int) -> Array:
    """Run every task once; the share `u` after each interval `[N, T]`."""
    env = HPOControlVectorEnv(
        len(tasks), family="reinforcement", tasks=list(tasks), autoreset_mode="Disabled"
    )
    observations, _ = env.reset(seed=seed)
    losses = []
    for _ in range(tasks[0].num_decisions):
        observations, _, _, _, info = env.step(act(observations, env))
        losses.append(np.nan_to_num(info["validation_loss"], nan=REGRET_FLOOR + 1.2))
    return np.asarray(1.0 + REGRET_FLOOR - np.stack(losses, axis=1))


def keep(observations: NDArray[np.float32], env: HPOControlVectorEnv) -> Array:
    """Move nothing."""
    return np.zeros((len(observations), len(env.controlled)))


def follow_divergence(observations: NDArray[np.float32], env: HPOControlVectorEnv) -> Array:
    """Move the rate by 1.5 where the last divergence was not within a factor of 2 of the target."""
    trainer = env.trainer
    assert isinstance(trainer, ReinforcementTrainer)
    divergence = trainer.curve.measures[:, COLUMN["approx_kl"]]
    with np.errstate(invalid="ignore"):
        way = 1.0 * (divergence < _TARGET_DIVERGENCE / 2) - (divergence > _TARGET_DIVERGENCE * 2)
    moves = keep(observations, env)
    rate = env.controlled.index("learning_rate")
    moves[:, rate] = way * np.log(1.5) / env.controlled.steps[rate]
    return moves


def follow_policy(folder: Path) -> Act:
    """Do as a policy says."""
    policy = load(folder)
    places = [CONTROLLED.index(name) for name in policy.space.names]

    def act(observations: NDArray[np.float32], env: HPOControlVectorEnv) -> Array:
        moves = keep(observations, env)
        moves[:, places] = policy.act(observations)
        return moves

    return act


def setting_of(values: Mapping[str, float], task: ReinforcementTask) -> ReinforcementTask:
    """Let a task start from a setting."""
    initial = [
        float(values.get(h.name, value))
        for h, value in zip(HYPERPARAMETERS, task.initial, strict=True)
    ]
    return replace(task, initial=tuple(initial))


def searched(config: Config) -> dict[str, float]:
    """Find goto's setting on training types: the best of some, and of these the best four again."""
    space = ReinforcementFamily().space.subset(_RANGES)
    low, high = (space.to_axis(np.array([r[k] for r in _RANGES.values()])) for k in (0, 1))
    rng, defaults = stream(0, "goto"), space.defaults
    own = space.to_axis(defaults)
    drawn = [space.values(defaults, rng.uniform(low, high) - own) for _ in range(config.candidates)]
    settings = [dict(zip(_RANGES, row.tolist(), strict=True)) for row in drawn]
    scores = np.zeros(len(settings))
    for runs, kept in ((1, len(settings)), (4, 4)):
        tasks = drawn_tasks(config, "train", "default", runs)
        for k in np.argsort(-scores, kind="stable")[:kept]:
            u = curves([setting_of(settings[k], task) for task in tasks], keep, seed=runs)
            scores[k] = 10.0 * (runs > 1) + (u.mean() + u[:, -_LAST:].mean()) / 2.0
            print(f"goto {k}: {scores[k]:.3f} {settings[k]}", flush=True)
    return settings[int(np.argmax(scores))]


def compared(config: Config) -> pd.DataFrame:
    """Run everybody; a row a run."""
    goto, frames = TUNED, []
    for start in config.starts:
        tasks = drawn_tasks(config, config.on, start, config.runs)
        if start == "tuned":
            tasks = [setting_of(goto, task) for task in tasks]
        there = [setting_of(goto, task) for task in tasks]
        opponents: dict[str, tuple[Sequence[ReinforcementTask], Act, int]] = {
            "kept": (tasks, keep, 0),
            "kept, other seeds": (tasks, keep, 10_000),
            "goto": (there, keep, 0),
            "KL-adaptive": (tasks, follow_divergence, 0),
        }
        named = {str(folder): follow_policy(folder) for folder in config.policies}
        opponents |= {name: (tasks, act, 0) for name, act in named.items()}
        for name, (given, act, seed) in opponents.items():
            u = curves(given, act, seed)
            frames.append(
                pd.DataFrame(
                    {
                        "opponent": name,
                        "start": start,
                        "type": [task.environment for task in given],
                        "run": np.arange(len(given)),
                        "final": u[:, -_LAST:].mean(axis=1),
                        "area": u.mean(axis=1),
                        "collapsed": u[:, -_LAST:].mean(axis=1) < 0.5 * u.max(axis=1),
                    }
                )
            )
            print(start, name, frames[-1][["final", "area"]].mean().round(3).to_dict(), flush=True)
    return pd.concat(frames)


def difference(frame: pd.DataFrame, name: str, other: str, what: str) -> tuple[float, float, float]:
    """Return the mean difference over types, and its interval, which resamples types."""
    mine, theirs = (
        frame[frame["opponent"] == who].set_index(["type", "run"]) for who in (name, other)
    )
    by_type = (mine[what] - theirs[what]).groupby("type").mean().to_numpy()
    rng = stream(0, "resample")
    means = by_type[rng.integers(len(by_type), size=(_NUM_RESAMPLES, len(by_type)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(by_type.mean()), float(low), float(high)


def described(frame: pd.DataFrame) -> str:
    """Return the tables as Markdown."""
    lines = []
    for start, rows in frame.groupby("start", sort=False):
        lines += [f"## From {start}", "", "| | final | area | collapsed | area against goto |"]
        lines += ["| --- | ---: | ---: | ---: | ---: |"]
        for name, own in rows.groupby("opponent", sort=False):
            mean, low, high = difference(rows, str(name), "goto", "area")
            columns: Sequence[Any] = (
                name,
                f"{own['final'].mean():.3f}",
                f"{own['area'].mean():.3f}",
                f"{100 * own['collapsed'].mean():.1f} %",
                f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]",
            )
            lines.append("| " + " | ".join(columns) + " |")
        lines.append("")
    return "\n".join(lines)


def main(config: Config) -> None:
    """Compare, and write the tables."""
    if config.goto == "search":
        print(searched(config))
        return
    config.out.mkdir(parents=True, exist_ok=True)
    frame = compared(config)
    means = frame.groupby(["opponent", "start", "type"], sort=False).mean(numeric_only=True)
    means.drop(columns="run").round(4).to_csv(config.out / f"{config.on}.csv")
    text = described(frame)
    (config.out / f"{config.on}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main(tyro.cli(Config))
