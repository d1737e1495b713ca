"""`make demo`: meta-train on real data sets, then evaluate on data sets and a model not seen.

Nothing here is special to the demo: it calls what `meta_train.py` and `hpo-control evaluate` call.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console

from agents.commands.evaluate import StageBars
from agents.config import TrainConfig
from agents.evaluation.comparison import Comparison, Plan, compare
from agents.meta_training import meta_train
from agents.reporting.comparisons import draw_schedules, terminal_tables
from agents.reporting.plans import comparison_frame, comparison_json, record_plan
from agents.run_folder import to_json_bytes, write_atomically
from hpo_env.policy_file import load
from hpo_env.tasks.base import Engine
from hpo_env.tasks.registry import family_class

_METHODS = ("constant", "initial", "constant_tuned", "cosine_tuned")
_SCENES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("data", "new data sets, models of the training side", {"architectures": "train"}),
    ("model", "new data sets and a new model, a deep residual net", {"model": "resmlp_96x4_norm"}),
)
"""What the policy is evaluated on: name of its files, title, options of the family."""


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Meta-train for some minutes, then compare the policy with schedules on held-out tasks.

    Args:
        steps: Environment steps of meta-training; the preset's when not given.
        seed: The seed of everything.
        tasks: Held-out tasks of each scene; each is run from four initial rates.
        engine: How inner runs are computed.
        run_dir: Folder in which the run's own folder is made.
    """

    steps: int | None = None
    seed: int = 0
    tasks: int = 24
    engine: Engine = "auto"
    run_dir: Path = Path("logs")


def main() -> None:
    """Run the demo as the command line says."""
    run(tyro.cli(DemoConfig, prog="python -m agents.demo"))


def run(config: DemoConfig) -> Path:
    """Train, evaluate, print; returns the run folder."""
    console, start = Console(), time.perf_counter()
    torch.set_num_threads(1)  # two threads crawl as soon as another process is busy
    console.rule("1. meta-training on the training data sets")
    folder = meta_train(
        TrainConfig(
            preset="quick",
            steps=config.steps,
            seed=config.seed,
            engine=config.engine,
            run_dir=config.run_dir,
        )
    )
    console.rule("2. evaluation on data sets and a model that meta-training never saw")
    policy = load(folder / "policy")
    family = family_class(policy.family)
    space = family().space
    known = space.hyperparameters[space.index(family.leading())]
    comparison: Comparison | None = None
    pictures = []
    for name, title, options in _SCENES:
        plan = Plan(
            family=policy.family,
            num_tasks=config.tasks,
            methods=_METHODS,
            seed=config.seed,
            engine=config.engine,
            options=options,
        )
        with StageBars() as bars:
            comparison = compare(
                policy,
                plan,
                on_stage=bars.update,
                tuned=None if comparison is None else comparison.tuned,
            )
        frame = comparison_frame(comparison)
        for table in terminal_tables(frame, title=title):
            console.print(table)
        write_atomically(
            folder / f"evaluation-{name}.json", to_json_bytes(comparison_json(comparison))
        )
        pictures.append(folder / f"schedules-{name}.png")
        draw_schedules(frame, pictures[-1], known)
        record_plan(comparison, policy, folder / "evaluations" / name, title=title)
    console.rule(f"done in {(time.perf_counter() - start) / 60:.1f} minutes")
    for line in (
        *(f"learned schedules: {picture}" for picture in pictures),
        f"policy: {folder / 'policy'}",
        f"all of it on a page: .venv/bin/hpo-control report {folder}",
        f"curves: .venv/bin/tensorboard --logdir {config.run_dir}",
    ):
        console.print(line, highlight=False, soft_wrap=True)
    return folder


if __name__ == "__main__":
    main()
