"""Initial policies beside the joint one, as they are and after the same adaptation.

    python benchmarks/initial_policies.py --policies joint=RUN reptile=RUN --csv initial.csv

Every policy is adapted to data sets of meta-validation with the same draws: by updates of PPO,
which initial policies are made for (`--by updates`), or by the search of `hpo-control adapt`. Log
test losses are those of the fifth of the rows that was laid aside. The first policy is what the
others are compared with; intervals are 95 % over data sets. Rows go to the table as they come, and
what stands there is not measured again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from agents.adapting import Adaptation, OwnTask, losses
from agents.commands.policies import load_policy
from agents.config import TrainConfig
from agents.factory import make_learner
from agents.learners.stepping import LaneStep
from agents.statistics.intervals import bootstrap_mean
from hpo_env.policy import Policy
from hpo_env.sharding import make_vector_env
from hpo_env.tasks.registry import family_class

_UPDATES = {"num_envs": 64, "n_steps": 20, "learning_rate": 1e-3, "critic_steps": 1_280}
"""Runs at once, decisions of each between two updates, the rate of Adam, and the decisions in which
the critic learns alone: it is new, as a policy's folder has none."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Compare.

    Args:
        policies: `name=policy` each; the first is the joint one.
        csv: The table.
        by: What adapts: the search of `hpo-control adapt`, or updates of PPO.
        datasets: Data sets of meta-validation.
        model: What is trained on them.
        steps: Environment steps of an adaptation; 0 adapts nothing.
        runs: Held-out runs that judge.
        seed: From which all draws follow.
    """

    policies: tuple[str, ...]
    csv: Path
    by: Literal["search", "updates"] = "search"
    datasets: tuple[str, ...] = ("cells", "concrete", "chile_vote", "pitch_result")
    model: str = "mlp_64x2"
    steps: int = 20_000
    runs: int = 64
    seed: int = 0


def main(config: Config) -> None:
    """Measure what is missing, then compare."""
    named = dict(text.split("=", 1) for text in config.policies)
    for dataset in config.datasets:
        for name, place in named.items():
            known = _read(config.csv)
            if not ((known["policy"] == name) & (known["dataset"] == dataset)).any():
                row = {
                    "policy": name,
                    "dataset": dataset,
                    **measured(load_policy(place), dataset, config),
                }
                pd.concat([known, pd.DataFrame([row])]).to_csv(config.csv, index=False)
                print(row, flush=True)
    for line in compared(_read(config.csv), next(iter(named))):
        print(line)


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["policy", "dataset"])


def measured(policy: Policy, dataset: str, config: Config) -> dict[str, float]:
    """Adapt, and judge on the rows that were laid aside."""
    options = {"dataset": dataset, "model": config.model}
    task = OwnTask(family="supervised", options=options, seed=config.seed)
    task.part("adapting").set_num_threads(1)
    held_out, bench = task.draw("held_out", config.runs), task.workload()
    before = losses(bench, policy, held_out, of_test=True)
    row = {"as it is": float(before.mean())}
    if config.steps:
        adapted = _ADAPTED[config.by](policy, task, config.steps)
        row["adapted"] = float(losses(bench, adapted, held_out, of_test=True).mean())
    return row


def searched(policy: Policy, task: OwnTask, steps: int) -> Policy:
    """Adapt as `hpo-control adapt` does."""
    adaptation = Adaptation(policy, task, steps=steps)
    adaptation.run()
    return adaptation.policy


def updated(policy: Policy, task: OwnTask, steps: int) -> Policy:
    """Go on with PPO on the one data set."""
    config = TrainConfig.of(
        family=task.family,
        hyperparameters=policy.space.names,
        base_schedule=policy.base_schedule,
        seed=task.seed,
        steps=steps,
        segment_steps=steps,
        **_UPDATES,
    ).resolved()
    own = {**task.options, **family_class(task.family).adapting_options}
    env = make_vector_env(config.num_envs, **config.env_arguments(), **own)
    learner = make_learner(config, env)
    learner.begin_with_policy(policy)
    learner.seed(1)
    learner.learn(config.segment_bounds()[-1], _Unwatched())
    env.close()
    return learner.policy({})


_ADAPTED = {"search": searched, "updates": updated}


class _Unwatched:
    """Nobody looks on; a `Watcher`."""

    def record(self, tag: str, value: float) -> None:
        """Forget a measurement."""

    def stepped(self, step: LaneStep, num_steps: int) -> None:
        """Forget a step."""

    def rolled_out(self, num_steps: int) -> None:
        """Forget a rollout."""


def compared(rows: pd.DataFrame, reference: str) -> Iterator[str]:
    """Write each policy's mean losses, and how much they are above the reference's."""
    for what in ("as it is", "adapted"):
        if what not in rows:
            continue
        table = rows.pivot_table(index="dataset", columns="policy", values=what)
        for name in table.columns:
            yield f"{what}: {name} {table[name].mean():.4f}" + (
                "" if name == reference else f", less {reference} {_gap(table, name, reference)}"
            )


def _gap(table: pd.DataFrame, name: str, reference: str) -> str:
    gaps: NDArray[Any] = (table[name] - table[reference]).dropna().to_numpy()
    found = bootstrap_mean(gaps, np.zeros(len(gaps)), np.arange(len(gaps)))
    return f"{found.estimate:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


if __name__ == "__main__":
    main(tyro.cli(Config))
