"""Policies that tune agents while they learn, on types of environment they never saw.

    python benchmarks/reinforcement.py --policies logs/a/policy logs/b/policy
    python benchmarks/reinforcement.py --on test --policies logs/a/policy

Beside each policy run, on the same tasks and from the same starts: what was there, kept; the same
with other seeds, for the size of chance; the family's learned start, kept from the first update on
(goto: the start "tuned" begins there); and a learning rate that follows the divergence of updates,
as in rsl_rl. From random starts each policy runs once more as with `start="learned"`, begun at
goto. Measured is the share `u` of the way from the random to the best known return, 1 at the best:
at the end (mean of the last three intervals) and over the whole curve (area). Differences are
paired over runs, meaned within a type, and their intervals of 95 % resample types, or the runs
where there is one type.

`--longest 1000` stretches each type by 2, 4 or 8, as far as its episodes then have no more steps:
what is done has its consequences so much later, while best and random returns stay.

`--gates` tries other thresholds of what is familiar to a policy, as shares of its own: a lower one
holds it closer to where a run began.

`--on test` opens the held-out side: what is to be shipped has to be chosen on `validation` before.

Writes `<on>.csv` (a row an opponent, start and type) and `<on>.md` into the output folder.
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

from hpo_env.limits import moved_in
from hpo_env.policy_file import load
from hpo_env.restriction import restrict
from hpo_env.seeding import stream
from hpo_env.tasks.base import Split
from hpo_env.tasks.reinforcement.environments.registry import types_of
from hpo_env.tasks.reinforcement.family import ReinforcementFamily, stretches
from hpo_env.tasks.reinforcement.measures import COLUMN
from hpo_env.tasks.reinforcement.returns import REGRET_FLOOR
from hpo_env.tasks.reinforcement.space import CONTROLLED, HYPERPARAMETERS
from hpo_env.tasks.reinforcement.task import Algorithm, ReinforcementTask
from hpo_env.tasks.reinforcement.trainer import ReinforcementTrainer
from hpo_env.vector_env import HPOControlVectorEnv

Array = NDArray[np.float64]
Start = Literal["default", "random", "tuned"]
Act = Callable[[NDArray[np.float32], HPOControlVectorEnv], Array]

_LAST = 3
_HEADINGS = (
    "",
    "final",
    "area",
    "collapsed",
    "final against goto",
    "area against goto",
    "area against kept",
    "worst type against kept",
    "P against KL-adaptive",
)
_NUM_RESAMPLES = 4000
_TARGET_DIVERGENCE = 0.01  # as in rsl_rl, with its band of a factor of 2 and its steps of 1.5


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
        longest: Steps up to which episodes are stretched; 0: as they are.
        hidden: Units of each hidden layer, 32 or 64.
        normalises: Whether observations and rewards are normalised; None: half of the runs.
        algorithm: By which agents learn: "ppo", "a2c" or "dqn" (shape: 1, 1024, 1).
        gates: Thresholds of familiarity that each policy is run with, as shares of its own.
        out: Where the tables go.
    """

    policies: tuple[Path, ...] = ()
    on: Literal["validation", "test"] = "validation"
    runs: int = 64
    starts: tuple[Start, ...] = ("default", "random", "tuned")
    shape: tuple[int, int, int] = (8, 128, 1)
    num_decisions: int = 20
    longest: int = 0
    hidden: int = 32
    normalises: bool | None = None
    algorithm: Algorithm = "ppo"
    gates: tuple[float, ...] = (1.0,)
    out: Path = Path("benchmarks/results/reinforcement")


def drawn_tasks(config: Config, split: Split, start: str, runs: int) -> list[ReinforcementTask]:
    """Draw as many tasks of each type of a side."""
    tasks = []
    for kind in types_of(split):
        if config.algorithm == "dqn" and not kind.rules.is_discrete:
            continue
        family = ReinforcementFamily(
            split=split,
            environment=kind.name,
            shape=config.shape,
            algorithm=config.algorithm,
            num_decisions=config.num_decisions,
            hidden=config.hidden,
            normalises=config.normalises,
            stretch=max(stretches(kind.name, config.longest), default=1),
            start="random" if start == "random" else "default",
        )
        tasks += [family.sample(stream(k, "compared", kind.name)) for k in range(runs)]
    return tasks


def curves(
    tasks: Sequence[ReinforcementTask],
    act: Act,
    seed: int,
    hyperparameters: Sequence[str] = CONTROLLED,
) -> Array:
    """Run every task once; the share `u` after each interval `[N, T]`."""
    env = HPOControlVectorEnv(
        len(tasks),
        family="reinforcement",
        tasks=list(tasks),
        hyperparameters=tuple(hyperparameters),
        autoreset_mode="Disabled",
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


def follow_policy(
    folder: Path, num_decisions: int, gate: float = 1.0
) -> tuple[Act, tuple[str, ...]]:
    """Do as a policy says in a run of so many decisions, and return what it moves there, too.

    The threshold of what is familiar to it is multiplied by a gate.
    """
    policy = load(folder)
    policy = restrict(policy, moved_in(num_decisions, policy.space.names, policy.most_decisions))
    known = policy.familiarity
    if known is not None and gate != 1.0:
        policy = replace(policy, familiarity=replace(known, threshold=gate * known.threshold))
    return lambda observations, env: policy.act(observations), policy.space.names


def learned(family: ReinforcementFamily, task: ReinforcementTask) -> ReinforcementTask:
    """Let a task start from the learned start of its kind."""
    begun = family.at_learned_start(task)
    assert isinstance(begun, ReinforcementTask)
    return begun


def setting_of(values: Mapping[str, float], task: ReinforcementTask) -> ReinforcementTask:
    """Let a task start from a setting."""
    initial = [
        float(values.get(h.name, value))
        for h, value in zip(HYPERPARAMETERS, task.initial, strict=True)
    ]
    return replace(task, initial=tuple(initial))


def compared(config: Config) -> pd.DataFrame:
    """Run everybody; a row a run."""
    family, frames = ReinforcementFamily(), []
    for start in config.starts:
        tasks = drawn_tasks(config, config.on, start, config.runs)
        there = [learned(family, task) for task in tasks]
        if start == "tuned":
            tasks = there
        opponents: dict[str, tuple[Sequence[ReinforcementTask], Act, int, Sequence[str]]] = {
            "kept": (tasks, keep, 0, CONTROLLED),
            "kept, other seeds": (tasks, keep, 10_000, CONTROLLED),
            "goto": (there, keep, 0, CONTROLLED),
        }
        if config.algorithm == "ppo":
            opponents["KL-adaptive"] = (tasks, follow_divergence, 0, CONTROLLED)
        named = {
            f"{folder} {gate:g}": follow_policy(folder, config.num_decisions, gate)
            for folder in config.policies
            for gate in config.gates
        }
        opponents |= {name: (tasks, act, 0, moved) for name, (act, moved) in named.items()}
        if start == "random":
            opponents |= {
                f"{name}, begun there": (there, act, 0, moved)
                for name, (act, moved) in named.items()
            }
        for name, (given, act, seed, moved) in opponents.items():
            u = curves(given, act, seed, moved)
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


def paired(frame: pd.DataFrame, name: str, other: str, what: str) -> pd.Series[float]:
    """Return the difference of each run."""
    mine, theirs = (
        frame[frame["opponent"] == who].set_index(["type", "run"])[what] for who in (name, other)
    )
    return mine - theirs


def difference(frame: pd.DataFrame, name: str, other: str, what: str) -> tuple[float, float, float]:
    """Return the mean difference over types, and its interval, which resamples types.

    Of a single type it resamples runs.
    """
    ahead = paired(frame, name, other, what)
    by_type = ahead.groupby("type").mean().to_numpy()
    units = by_type if len(by_type) > 1 else ahead.to_numpy()
    rng = stream(0, "resample")
    means = units[rng.integers(len(units), size=(_NUM_RESAMPLES, len(units)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(by_type.mean()), float(low), float(high)


def worst(frame: pd.DataFrame, name: str, other: str) -> tuple[float, str]:
    """Return the lowest mean difference of areas of a type, and which type it is."""
    by_type = paired(frame, name, other, "area").groupby("type").mean()
    return float(by_type.min()), str(by_type.idxmin())


def probability(frame: pd.DataFrame, name: str, other: str) -> float:
    """Return how often a run has the larger area of two, a tie counting half, meaned over types."""
    ahead = paired(frame, name, other, "area")
    won = (ahead > 0).astype(float) + 0.5 * (ahead == 0)
    return float(won.groupby("type").mean().mean())


def _told(interval: tuple[float, float, float]) -> str:
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*interval)


def described(frame: pd.DataFrame) -> str:
    """Return the tables as Markdown."""
    lines = []
    for start, rows in frame.groupby("start", sort=False):
        lines += [f"## From {start}", "", "| " + " | ".join(_HEADINGS) + " |"]
        lines += ["| --- |" + " ---: |" * (len(_HEADINGS) - 1)]
        for name, own in rows.groupby("opponent", sort=False):
            columns: Sequence[Any] = (
                name,
                f"{own['final'].mean():.3f}",
                f"{own['area'].mean():.3f}",
                f"{100 * own['collapsed'].mean():.1f} %",
                _told(difference(rows, str(name), "goto", "final")),
                _told(difference(rows, str(name), "goto", "area")),
                _told(difference(rows, str(name), "kept", "area")),
                "{:+.3f} {}".format(*worst(rows, str(name), "kept")),
                f"{probability(rows, str(name), 'KL-adaptive'):.2f}",
            )
            lines.append("| " + " | ".join(columns) + " |")
        lines.append("")
    return "\n".join(lines)


def main(config: Config) -> None:
    """Compare, and write the tables."""
    config.out.mkdir(parents=True, exist_ok=True)
    frame = compared(config)
    means = frame.groupby(["opponent", "start", "type"], sort=False).mean(numeric_only=True)
    means.drop(columns="run").round(4).to_csv(config.out / f"{config.on}.csv")
    text = described(frame)
    (config.out / f"{config.on}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main(tyro.cli(Config))
