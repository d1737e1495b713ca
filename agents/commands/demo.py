"""`hpo-control demo`: meta-train on real data sets, then evaluate on what was not seen.

Nothing here is special to the demo: it calls what `meta_train.py` and `hpo-control evaluate` call.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from rich.console import Console

from hpo_env.addresses import file_name
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from hpo_env.tasks.base import Engine
from hpo_env.tasks.registry import family_class

from ..comparing.comparison import Comparison, run_here
from ..comparing.display import make_display
from ..comparing.matrix import EvaluationProtocol
from ..comparing.schedules import compare_schedules
from ..config import TrainConfig
from ..meta_training import meta_train
from ..reporting.closing import draw_schedules, record_comparison, suite_rows, to_json
from ..reporting.comparisons import terminal_tables
from ..whole_files import to_json_bytes, write_atomically

_OPPONENTS = ("default", "frozen", "constant_tuned", "cosine_tuned")
_NUM_TUNING_TASKS = 16


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Meta-train for some minutes, then compare the policy with schedules on held-out tasks.

    Args:
        family: The task family.
        steps: Environment steps of meta-training; the preset's when not given.
        seed: The seed of everything.
        tasks: Held-out tasks of each scene; each is run from every usual start.
        engine: How inner runs are computed.
        run_dir: Folder in which the run's own folder is made.
    """

    family: str = "supervised"
    steps: int | None = None
    seed: int = 0
    tasks: int = 24
    engine: Engine = "auto"
    run_dir: Path = Path("logs")


def main(args: Sequence[str]) -> None:
    """Run the demo as the arguments say."""
    run(tyro.cli(DemoConfig, args=list(args), prog="hpo-control demo"))


def run(config: DemoConfig) -> Path:
    """Train, evaluate, print; returns the run folder."""
    console, start = Console(), time.perf_counter()
    torch.set_num_threads(1)  # two threads crawl as soon as another process is busy
    console.rule("1. meta-training on the training data sets")
    folder = meta_train(
        TrainConfig(
            family=config.family,
            preset="quick",
            steps=config.steps,
            seed=config.seed,
            engine=config.engine,
            run_dir=config.run_dir,
        )
    )
    console.rule("2. evaluation on tasks that meta-training never saw")
    policy = load(folder / "policy")
    comparison = _comparison(policy, config)
    with make_display() as display:
        compared = run_here(comparison, on_progress=display.update)
    pictures = []
    for suite in comparison.suites:
        name = file_name(suite.name)
        of_suite = replace(compared, frame=suite_rows(compared, suite.name))
        for table in terminal_tables(of_suite.frame, title=suite.help):
            console.print(table)
        document = to_json_bytes(to_json(comparison, of_suite))
        write_atomically(folder / f"evaluation-{name}.json", document)
        pictures.append(folder / f"schedules-{name}.png")
        draw_schedules(comparison, compared, suite.name, pictures[-1])
        analysis = folder / "evaluations" / name
        record_comparison(comparison, compared, suite.name, analysis, title=suite.help)
    console.rule(f"done in {(time.perf_counter() - start) / 60:.1f} minutes")
    for line in (
        *(f"learned schedules: {picture}" for picture in pictures),
        f"policy: {folder / 'policy'}",
        f"all of it on a page: hpo-control report {folder}",
        f"curves: hpo-control dashboard {config.run_dir}",
    ):
        console.print(line, highlight=False, soft_wrap=True)
    return folder


def _comparison(policy: Policy, config: DemoConfig) -> Comparison:
    family = family_class(policy.family)
    protocol = EvaluationProtocol(
        num_tasks=config.tasks,
        num_seeds=1,
        num_tuning_tasks=_NUM_TUNING_TASKS,
        starts=family.starts or None,
        seed=config.seed,
        engine=config.engine,
    )
    scenes = family.suites_in_short() if family.demo_scenes is None else family.demo_scenes
    return compare_schedules(policy, policy.family, scenes, protocol, names=_OPPONENTS)
