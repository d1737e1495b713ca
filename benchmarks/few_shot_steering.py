"""A policy on few-shot tasks beside settings and a course that were tuned on the training side.

    OMP_NUM_THREADS=1 python benchmarks/few_shot_steering.py --policy RUN --split validation

Every opponent adapts to the same tasks, from the same initialisation, with the same rows held back.
Tuned are, each over the same training tasks of all sources: the inner rate (a grid of nine), the
inner rate of each source, all four hyperparameters (24 drawn settings and the defaults), and a
straight course through the best of those (24 drawn). Lower is better; intervals are over tasks.

Writes a row a task and opponent into `--csv`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from agents.commands.policies import load_policy
from hpo_env.datasets.base import Split
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.reward import bounded_log_loss
from hpo_env.seeding import draw_episode_seed, lane_seeds, stream
from hpo_env.tasks.base import Task
from hpo_env.tasks.registry import make_family
from hpo_env.vector_env import HPOControlVectorEnv

Array = NDArray[np.float64]
Course = Callable[[Task, int], Array]
"""Values `[H]` of a task in an interval, from 0."""

_NUM_DRAWN = 24
_RATES = tuple(float(rate) for rate in np.geomspace(0.1, 10.0, 9))
_MOST_STEPS = 3.0  # from one end of a course to the other, in largest moves
_SPREAD = 0.2  # of drawn settings, in whole ranges
_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Config:
    """Compare.

    Args:
        policy: A shipped policy, a folder or a run; None compares the opponents alone.
        split: The side of the tasks.
        sources: Where they come from.
        tasks: Of each source.
        tuning_tasks: Of each source of the training side.
        csv: Where rows go.
    """

    policy: str | None = None
    split: Literal["validation", "test"] = "validation"
    sources: tuple[str, ...] = ("characters", "tables", "sinusoids")
    tasks: int = 30
    tuning_tasks: int = 12
    csv: Path = Path("benchmarks/results/few_shot/steering.csv")


def main(config: Config) -> None:
    """Tune, run, print and write."""
    training = [
        task
        for source in ("characters", "tables", "sinusoids")
        for task in drawn("train", source, config.tuning_tasks)
    ]
    opponents = tuned(training)
    rows = []
    for source in config.sources:
        tasks = drawn(config.split, source, config.tasks)
        found = {name: reached(tasks, course) for name, course in opponents.items()}
        if config.policy is not None:
            found["policy"] = steered(tasks, load_policy(config.policy))
        for name, losses in found.items():
            rows += [
                {"split": config.split, "source": source, "opponent": name, "task": k, "loss": x}
                for k, x in enumerate(losses)
            ]
            print(f"{source:12} {name:22} {_told(losses, found.get('policy'))}", flush=True)
    config.csv.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(config.csv, index=False)


def drawn(split: Split, source: str, count: int) -> list[Task]:
    """Draw tasks that begin at the learned rates."""
    family = make_family("few_shot", split=split, source=source, start="default")
    return [family.sample(stream(k, "steering", split, source)) for k in range(count)]


# ------------------------------------------------------------------------------------------ tuning


def tuned(tasks: Sequence[Task]) -> Mapping[str, Course]:
    """Return the courses of all opponents, tuned on tasks of the training side."""
    space = make_family("few_shot").space
    rates = [_with_rate(space, rate) for rate in _RATES]
    by_rate = np.stack([reached(tasks, _kept(values)) for values in rates])
    sources = np.array([task.labels["source"] for task in tasks])
    best_of = {
        source: rates[int(by_rate[:, sources == source].mean(axis=1).argmin())]
        for source in np.unique(sources)
    }
    overall = rates[int(by_rate.mean(axis=1).argmin())]
    settings = [space.defaults, overall, *_near(space, overall, "settings")]
    setting = settings[_best(tasks, [_kept(values) for values in settings])]
    lines = [_kept(setting), *_lines(space, setting, tasks)]
    print(f"tuned rate {overall[0]:.3g}; of each source {[float(best_of[s][0]) for s in best_of]}")
    print(f"tuned setting {np.round(setting, 3).tolist()}")
    return {
        "learned rates kept": _kept(space.defaults),
        "tuned rate": _kept(overall),
        "tuned rate a source": lambda task, _: best_of.get(task.labels["source"], overall),
        "tuned setting": _kept(setting),
        "tuned course": lines[_best(tasks, lines)],
    }


def _best(tasks: Sequence[Task], courses: Sequence[Course]) -> int:
    return int(np.argmin([reached(tasks, course).mean() for course in courses]))


def _kept(values: Array) -> Course:
    return lambda task, interval: values


def _with_rate(space: HyperparameterSpace, rate: float) -> Array:
    values = space.defaults.copy()
    values[0] = rate
    return values


def _near(space: HyperparameterSpace, middle: Array, name: str) -> list[Array]:
    low, high = space.to_axis(np.stack([space.low, space.high]))
    rng = stream(0, name)
    moves = _SPREAD * (high - low) * rng.standard_normal((_NUM_DRAWN, len(space)))
    return [np.clip(space.values(middle, move), space.low, space.high) for move in moves]


def _lines(space: HyperparameterSpace, middle: Array, tasks: Sequence[Task]) -> list[Course]:
    rng = stream(0, "courses")
    found: list[Course] = []
    for _ in range(_NUM_DRAWN):
        slope = _MOST_STEPS * space.steps * rng.uniform(-1.0, 1.0, len(space))

        def line(task: Task, interval: int, slope: Array = slope) -> Array:
            share = interval / max(task.num_decisions - 1, 1) - 0.5
            return np.clip(space.values(middle, share * slope), space.low, space.high)

        found.append(line)
    return found


# ----------------------------------------------------------------------------------------- running


def reached(tasks: Sequence[Task], course: Course) -> Array:
    """Return the log loss of test rows at the end of each task's run `[tasks]`."""
    losses = np.empty(len(tasks))
    for length in sorted({task.num_decisions for task in tasks}):
        places = [k for k, task in enumerate(tasks) if task.num_decisions == length]
        chosen = [tasks[k] for k in places]
        lanes = np.arange(len(places))
        trainer = make_family("few_shot").make_trainer(len(places), engine="auto", device="cpu")
        first = trainer.reset(lanes, chosen, [_episode_seed(k) for k in places])
        diverged = np.zeros(len(places), dtype=bool)
        for interval in range(length):
            values = np.stack([course(task, interval) for task in chosen])
            diverged |= trainer.advance(values)[0].diverged
        losses[places] = bounded_log_loss(
            trainer.test(lanes)[0],
            first_loss=first.validation_loss,
            diverged=diverged,
            floor=1e-3,
        )
    return losses


def steered(tasks: Sequence[Task], policy: Policy) -> Array:
    """Return the same under a policy, in the environment."""
    losses = np.empty(len(tasks))
    for k, task in enumerate(tasks):
        env = HPOControlVectorEnv(
            1,
            family="few_shot",
            hyperparameters=policy.space.names,
            autoreset_mode="Disabled",
            tasks=[task],
        )
        observation, info = env.reset(seed=k)
        first = np.array([info["validation_loss"][0]])
        for _ in range(task.num_decisions):
            observation, _, terminated, _, info = env.step(policy.act(observation))
            if terminated[0]:
                break
        losses[k] = bounded_log_loss(
            np.array([info["test_loss"][0]]),
            first_loss=first,
            diverged=np.array([bool(info["diverged"][0])]),
            floor=1e-3,
        )[0]
        env.close()
    return losses


def _episode_seed(lane: int) -> int:
    """Return the seed of the episode that an environment begins with `seed=lane`."""
    return draw_episode_seed(np.random.default_rng(lane_seeds(lane, 1)[0]))


def _told(losses: Array, policy: Array | None) -> str:
    text = f"{losses.mean():+.3f}"
    if policy is None or policy is losses:
        return text
    gap = policy - losses
    rng = stream(0, "intervals")
    means = gap[rng.integers(len(gap), size=(_RESAMPLES, len(gap)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    wins = float(np.mean(gap < 0.0))
    return f"{text}  policy {gap.mean():+.3f} [{low:+.3f}, {high:+.3f}], lower on {wins:.0%}"


if __name__ == "__main__":
    main(tyro.cli(Config))
