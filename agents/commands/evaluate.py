"""`hpo-control evaluate`: a policy beside schedules, on the same tasks, weights and minibatches."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from agents.evaluation.comparison import DEFAULT_METHODS, Comparison, Plan, compare
from agents.reporting.comparisons import draw_schedules, terminal_tables
from agents.reporting.plans import comparison_frame, comparison_json, record_plan
from agents.run_folder import to_json_bytes, write_atomically
from hpo_env.errors import ConfigurationError, PolicyFileError, unknown_name
from hpo_env.policy_file import CONTROLLER_FILE, load
from hpo_env.restriction import restrict
from hpo_env.tasks.base import Engine, Split
from hpo_env.tasks.registry import family_class

PRESETS: dict[str, dict[str, int]] = {
    "quick": {"tasks": 8, "seeds": 1, "tuning_tasks": 8},
    "standard": {"tasks": 24, "seeds": 2, "tuning_tasks": 24},
    "full": {"tasks": 64, "seeds": 3, "tuning_tasks": 64},
}
"""How much to run."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Compare a policy with schedules that need one run, too, on data it was not trained on.

    Args:
        policy: A policy folder (policy.safetensors and controller.json), or a run folder that holds
            one.
        hyperparameters: What can be moved, as in a loop that lacks the rest; all that the policy
            moves when not given.
        family: The task family; the policy's own when not given.
        split: Which data sets and architectures: test for results, validation for decisions.
        preset: How much to run: quick, standard or full. Sets `tasks`, `seeds` and `tuning_tasks`;
            a flag that you give wins over it.
        tasks: Tasks to draw.
        seeds: Runs of each task from each initial rate.
        tuning_tasks: Meta-training tasks on which the opponents' rates are chosen.
        methods: What to compare the controller with.
        initial_rates: Every task is started from each of these; the family's own when not given.
        seed: From which tasks, weights and minibatches follow.
        dataset: Only this data set: a name, or the path of a CSV, Parquet or NPZ file.
        target: The column that a file's rows are to predict.
        model: Only this architecture of the inner network.
        engine: How inner runs are computed: compiled, eager, reference or auto.
        device: Torch device of the inner training.
        json: Write all results here, every single run included.
        figure: Draw the learned schedules here, a PNG.
        analysis: Write schedules, regret, importance and a map of the tasks here, for TensorBoard
            and for hpo-control report, which finds them in the run folder's evaluations/.

    Raises:
        UnknownNameError: No such preset; the nearest are suggested.
        ConfigurationError: A number is out of range.
    """

    policy: tyro.conf.Positional[Path]
    hyperparameters: tuple[str, ...] | None = None
    family: str | None = None
    split: Split = "test"
    preset: str = "quick"
    tasks: int | None = None
    seeds: int | None = None
    tuning_tasks: int | None = None
    methods: tuple[str, ...] = DEFAULT_METHODS
    initial_rates: tuple[float, ...] | None = None
    seed: int = 0
    dataset: str | None = None
    target: str | None = None
    model: str | None = None
    engine: Engine = "auto"
    device: str = "cpu"
    json: Path | None = None
    figure: Path | None = None
    analysis: Path | None = None

    def __post_init__(self) -> None:
        """Check names and numbers."""
        if self.preset not in PRESETS:
            raise unknown_name("preset", self.preset, PRESETS)
        for name in ("tasks", "seeds", "tuning_tasks"):
            if self.amount(name) < 1:
                raise ConfigurationError(f"{name} must be at least 1; got {self.amount(name)}")
        if self.seed < 0:
            raise ConfigurationError(f"seed must not be negative; got {self.seed}")

    def amount(self, name: str) -> int:
        """Return `tasks`, `seeds` or `tuning_tasks`, from the preset where it was not given."""
        given: int | None = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given

    def options(self) -> dict[str, Any]:
        """Return the options of the family that were given."""
        names = ("dataset", "target", "model")
        return {n: getattr(self, n) for n in names if getattr(self, n) is not None}


def main(args: Sequence[str]) -> None:
    """Evaluate as the arguments say."""
    run(tyro.cli(EvaluateConfig, args=list(args), prog="hpo-control evaluate"))


def run(config: EvaluateConfig) -> None:
    """Compare, print the tables, and write what was asked for.

    Raises:
        PolicyFileError: There is no policy, or it cannot be used.
        ConfigurationError: Something cannot be written, or the policy does not fit the family.
    """
    for path in (config.json, config.figure):
        _check_writable(path)  # before minutes of work, and not after
    policy = load(policy_folder(config.policy))
    if config.hyperparameters is not None:
        policy = restrict(policy, config.hyperparameters)
    plan = Plan(
        family=config.family or policy.family,
        split=config.split,
        num_tasks=config.amount("tasks"),
        num_seeds=config.amount("seeds"),
        num_tuning_tasks=config.amount("tuning_tasks"),
        methods=config.methods,
        initial_rates=config.initial_rates,
        seed=config.seed,
        engine=config.engine,
        device=config.device,
        options=config.options(),
    )
    with StageBars() as bars:
        comparison = compare(policy, plan, on_stage=bars.update)
    _report(config, comparison)
    if config.analysis is not None:
        record_plan(comparison, policy, config.analysis, title=_title(plan))
        Console().print(f"for TensorBoard: {config.analysis}", highlight=False, soft_wrap=True)


def policy_folder(path: Path) -> Path:
    """Find the policy in a policy folder or in a run folder.

    Raises:
        PolicyFileError: There is none; says whether the run has not come so far.
    """
    for folder in (path, path / "policy"):
        if (folder / CONTROLLER_FILE).is_file():
            return folder
    if (path / "config.json").is_file():
        raise PolicyFileError(
            f"{path}: this run has exported no policy yet; go on with it by "
            f"hpo-control train --resume {path}"
        )
    raise PolicyFileError(
        f"{path}: no policy there. Give a folder with {CONTROLLER_FILE}, or a run folder of "
        "hpo-control train"
    )


class StageBars:
    """One progress bar a stage on a terminal, nothing elsewhere; a context manager."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<36}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> StageBars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is."""
        if stage not in self._stages:
            self._stages[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._stages[stage], completed=done)


def _report(config: EvaluateConfig, comparison: Comparison) -> None:
    plan, console = comparison.plan, Console()
    family, frame = family_class(plan.family), comparison_frame(comparison)
    for table in terminal_tables(frame, family.has_trained_on, title=_title(plan)):
        console.print(table)
    if config.json is not None:
        write_atomically(config.json, to_json_bytes(comparison_json(comparison)))
        console.print(f"every run: {config.json}", highlight=False, soft_wrap=True)
    if config.figure is not None:
        space = family().space
        known = space.hyperparameters[space.index(family.leading())]
        draw_schedules(frame, config.figure, known)
        console.print(f"learned schedules: {config.figure}", highlight=False, soft_wrap=True)


def _title(plan: Plan) -> str:
    return (
        f"{plan.family}, {plan.split} tasks: {plan.num_tasks} tasks, {plan.num_seeds} "
        f"seed{'s' if plan.num_seeds > 1 else ''}"
    )


def _check_writable(path: Path | None) -> None:
    if path is None:
        return
    folder = path.absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path}: its folder cannot be made: {error.strerror}") from error
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigurationError(
            f"{path} cannot be written: it is a folder, or its folder is read-only"
        )
