"""`hpo-control compare`: the controller and all its opponents on the same runs.

What is finished is kept in the output folder and never run again, so a comparison that was killed,
or that is asked for more, is started by the same command.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.tasks.base import Engine
from hpo_env.tasks.registry import family_class

from ..comparing import results
from ..comparing.comparison import (
    Comparison,
    check_trainer_options,
    chosen_suites,
    collect,
    make_comparison,
)
from ..comparing.display import Display, make_display
from ..comparing.jobs import Job, make_jobs
from ..comparing.matrix import EvaluationProtocol
from ..comparing.presets import PRESETS, Amounts
from ..comparing.ray_workers import RayWorkers
from ..comparing.running import Failure, IncompleteComparisonError, run_jobs
from ..comparing.store import Store
from ..comparing.workers import InProcess, ProcessWorkers, Workers
from ..family_options import FAMILY_OPTIONS
from ..opponents.base import Setup
from ..opponents.registry import OPPONENTS, check_opponents, find_maker
from ..reporting.comparisons import terminal_tables
from ..reporting.tracked import track_comparison
from ..run_folder import installed_versions
from ..tracking.base import check_tracker
from .help_texts import asks_for_short_help, short_help, with_all_help
from .outputs import check_folder
from .policies import load_policy


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Compare a policy with its opponents, and keep every finished run; start again to go on.

    Args:
        policy: The name of a policy that we ship, the folder of one, or a run folder.
        hyperparameters: What can be moved, as in a loop that lacks the rest; all that the policy
            moves when not given. Opponents choose the same.
        family: The task family, or module:Class; the policy's own when not given.
        family_options: Options of the family's trainers, for instance `updates_per_decision=20`;
            suites say which tasks are drawn.
        out: Folder of the results, logs/compare-<preset> when not given; what is there already is
            used.
        preset: How much to run: quick (minutes on two cores), standard (all opponents and suites)
            or full (the same on more tasks). Sets the next eight settings; a flag that you give
            wins over it.
        suites: What is held out; see --list.
        opponents: What the controller is compared with; see --list, or module:function of your own.
            The controller always runs; who needs what the family lacks is left out.
        tasks: Tasks of each suite.
        seeds: Runs of each task from each start.
        runs: Full runs that a search may spend on one instance.
        population: Runs that a population, such as PBT's, keeps.
        starts: Values of the family's leading hyperparameter, every task being started from each.
        tuning_tasks: Meta-training tasks on which opponents are tuned.
        seed: From which tasks, weights and minibatches follow.
        workers: Where jobs run: process, on this machine, or ray, on a cluster.
        num_workers: Jobs at a time; all cores when not given. 0 does them in this process, one
            after the other.
        ray_address: The Ray cluster to join; when not given, one is started on this machine.
        storage: Database of Optuna's studies, any address that it takes; when not given the SQLite
            file optuna.db in the output folder, and with Ray, whose machines could not reach that,
            the workers' memory.
        engine: How inner runs are computed.
        tracker: Where figures, tables and schedules go beside the folder: wandb (WANDB_MODE=offline
            keeps them here) or mlflow.
        list: Print opponents and the family's suites, and do nothing else.

    Raises:
        UnknownNameError: No such preset or opponent; the nearest are suggested.
        ConfigurationError: A number is out of range.
    """

    policy: tyro.conf.Positional[str] = "supervised"
    hyperparameters: tuple[str, ...] | None = None
    family: str | None = None
    family_options: Annotated[Mapping[str, Any], FAMILY_OPTIONS] = field(default_factory=dict)
    out: Path | None = None
    preset: str = "quick"
    suites: tuple[str, ...] | None = None
    opponents: tuple[str, ...] | None = None
    tasks: int | None = None
    seeds: int | None = None
    runs: int | None = None
    population: int | None = None
    starts: tuple[float, ...] | None = None
    tuning_tasks: int | None = None
    seed: int = 0
    workers: Literal["process", "ray"] = "process"
    num_workers: int | None = None
    ray_address: str | None = None
    storage: str | None = None
    engine: Engine = "auto"
    tracker: str | None = None
    list: bool = False

    def __post_init__(self) -> None:
        """Check names and numbers before anything expensive begins."""
        if self.preset not in PRESETS:
            raise unknown_name("preset", self.preset, PRESETS)
        fewest = 1 if self.workers == "ray" else 0
        if self.num_workers is not None and self.num_workers < fewest:
            raise ConfigurationError(
                f"num_workers must be at least {fewest} with workers={self.workers!r}; "
                f"got {self.num_workers}"
            )
        if self.ray_address is not None and self.workers != "ray":
            raise ConfigurationError("ray_address needs workers='ray'")
        check_opponents(self.opponents or ())
        check_tracker(self.tracker)
        preset = PRESETS[self.preset]
        _ = EvaluationProtocol(
            num_tasks=preset.tasks if self.tasks is None else self.tasks,
            num_seeds=preset.seeds if self.seeds is None else self.seeds,
            num_tuning_tasks=preset.tuning_tasks
            if self.tuning_tasks is None
            else self.tuning_tasks,
            starts=self.starts,
            seed=self.seed,
        )

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return Path("logs") / f"compare-{self.preset}" if self.out is None else self.out

    def amounts(self, family: str) -> Amounts:
        """Return what the preset means for a family, with what was given instead of it."""
        given = {name: getattr(self, name) for name in Amounts.__dataclass_fields__}
        usual = PRESETS[self.preset].amounts(family_class(family))
        return replace(usual, **{n: v for n, v in given.items() if v is not None})

    def protocol(self, family: str) -> EvaluationProtocol:
        """Return how much is run of a family."""
        amounts = self.amounts(family)
        return EvaluationProtocol(
            num_tasks=amounts.tasks,
            num_seeds=amounts.seeds,
            num_tuning_tasks=amounts.tuning_tasks,
            starts=amounts.starts,
            seed=self.seed,
            engine=self.engine,
            options=self.family_options,
        )

    @property
    def storage_address(self) -> str | None:
        """Database of Optuna's studies; None keeps them in the workers' memory."""
        if self.storage is None and self.workers == "process":
            return f"sqlite:///{self.folder.absolute() / 'optuna.db'}"
        return self.storage


USUAL = (
    *("policy", "preset", "suites", "opponents", "starts", "family", "hyperparameters"),
    *("out", "num_workers", "list"),
)
"""What `--help` explains."""


def main(args: Sequence[str]) -> None:
    """Compare as the arguments say."""
    prog = "hpo-control compare"
    if asks_for_short_help(args):
        print(short_help(CompareConfig, USUAL, prog=prog))
        return
    run(tyro.cli(CompareConfig, args=with_all_help(args), prog=prog))


def run(config: CompareConfig) -> None:
    """Run what is missing, print a table a suite, and write the results.

    Raises:
        PolicyFileError: There is no policy, or it cannot be used.
        UnknownNameError: The family has no such suite; the nearest are suggested.
        MissingExtraError: An opponent, or Ray, needs a package that is not installed.
        ConfigurationError: The folder cannot be written, or the policy does not fit the family.
        IncompleteComparisonError: Some jobs came to nothing; all others are done.
    """
    if config.list:
        _show_lists(config)
        return
    started = time.perf_counter()
    policy = load_policy(config.policy, config.hyperparameters)
    comparison = _make_comparison(config, policy)
    for line in comparison.remarks:
        Console().print(line, highlight=False, soft_wrap=True)
    check_folder(config.folder)
    store, matrix = Store(config.folder), comparison.matrix
    missing = [key for key in matrix.cells if store.read_cell(key) is None]
    failures = _run_missing(config, store, make_jobs(matrix, missing, store), len(matrix.cells))
    num_lost = sum(failure.num_cells for failure in failures)
    _finish(
        config,
        comparison,
        store,
        {
            "cells_run": len(missing) - num_lost,
            "cells_reused": len(matrix.cells) - len(missing),
            "cells_lost": num_lost,
            "wall_clock_seconds": round(time.perf_counter() - started, 1),
            "failures": [asdict(failure) for failure in failures],
        },
    )
    if failures:
        lines = "".join(f"\n  {f.job}: {f.error}" for f in failures)
        raise IncompleteComparisonError(
            f"{len(failures)} jobs came to nothing, {num_lost} cells are missing; all others are "
            f"done. Tracebacks: {config.folder / results.COMPARISON_FILE}. The same command tries "
            f"them again.{lines}"
        )


def _make_comparison(config: CompareConfig, policy: Policy) -> Comparison:
    family = config.family or policy.family
    check_trainer_options(family, config.family_options)
    amounts = config.amounts(family)
    return make_comparison(
        family,
        chosen_suites(family, amounts.suites),
        OPPONENTS if amounts.opponents is None else amounts.opponents,
        config.protocol(family),
        Setup(
            policy=policy,
            hyperparameters=policy.space.names,
            num_runs=amounts.runs,
            num_lanes=amounts.population,
            storage=config.storage_address,
        ),
    )


def _run_missing(
    config: CompareConfig, store: Store, jobs: Sequence[Job], num_cells: int
) -> list[Failure]:
    if not jobs:
        return []
    with make_display() as display:
        num_missing = sum(job.num_cells for job in jobs)
        display.say(f"{num_cells} cells, {num_missing} of them to run, in {len(jobs)} jobs")
        workers = _make_workers(config, len(jobs))
        try:
            return run_jobs(
                jobs,
                workers,
                store,
                on_progress=display.update,
                on_failure=lambda failure: _tell(display, failure),
            )
        except KeyboardInterrupt:
            display.say(f"interrupted; finished cells are in {config.folder}, start again to go on")
            raise
        finally:
            workers.close()


def _make_workers(config: CompareConfig, num_jobs: int) -> Workers:
    if config.workers == "ray":
        return RayWorkers(config.num_workers, config.ray_address)
    if config.num_workers == 0:
        return InProcess()
    wanted = results.num_cores() if config.num_workers is None else config.num_workers
    return ProcessWorkers(min(wanted, num_jobs))


def _tell(display: Display, failure: Failure) -> None:
    display.say(f"failed: {failure.job}: {failure.error}")


def _finish(
    config: CompareConfig, comparison: Comparison, store: Store, account: dict[str, Any]
) -> None:
    """Write and print what is there."""
    described = _describe(config, comparison, store)
    results.write_comparison(config.folder, described | account)
    frame = collect(comparison.matrix, store)
    if not len(frame):
        return
    results.write_table(frame, config.folder)
    if config.tracker is not None:
        family = family_class(comparison.family)
        space = HyperparameterSpace(family.hyperparameters)
        leading = space.hyperparameters[space.index(family.leading())]
        track_comparison(
            config.tracker, config.folder, frame, config=described["config"], leading=leading
        )
    console = Console()
    for table in terminal_tables(frame):
        console.print(table)
    console.print(
        f"{account['cells_run']} cells run, {account['cells_reused']} reused, "
        f"{account['wall_clock_seconds']:.0f} s; results: {config.folder}",
        f"for the report: hpo-control report {config.folder}",
        sep="\n",
        highlight=False,
        soft_wrap=True,
    )


def _describe(config: CompareConfig, comparison: Comparison, store: Store) -> dict[str, Any]:
    """Describe what was compared, where and with what."""
    amounts, names = config.amounts(comparison.family), [o.name for o in comparison.opponents]
    moved = "" if config.hyperparameters is None else f" ({', '.join(config.hyperparameters)})"
    # Without the addresses of a database and a cluster, which may hold passwords.
    named = ("policy", "preset", "seed", "workers", "num_workers", "engine")
    settings: dict[str, Any] = {name: getattr(config, name) for name in named}
    settings |= {"family": comparison.family, "family_options": dict(config.family_options)}
    settings |= {"hyperparameters": config.hyperparameters, **asdict(amounts), "opponents": names}
    return {
        "title": (
            f"{config.policy}{moved}: {len(names)} opponents, {', '.join(amounts.suites)}, "
            f"{amounts.tasks} tasks, {amounts.seeds} seeds"
        ),
        "config": {n: [*v] if isinstance(v, tuple) else v for n, v in settings.items()},
        "suites": {suite.name: suite.help for suite in comparison.suites},
        "opponents": {o.name: o.identity() for o in comparison.opponents},
        "left_out": {name: list(needs) for name, needs in comparison.left_out.items()},
        "versions": installed_versions(results.PACKAGES),
        "machine": results.describe_machine(),
        "prepared": {
            name: str(store.prepared_path(key).relative_to(store.folder))
            for name, key in comparison.matrix.lessons.items()
        },
    }


def _show_lists(config: CompareConfig) -> None:
    """Print every opponent, and the suites of the family."""
    family = config.family or load_policy(config.policy).family
    suites = {suite.name: suite.help for suite in family_class(family).suites}
    for kind, lines in (("opponent", _opponent_help()), (f"suite of {family}", suites)):
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column(kind, no_wrap=True)
        table.add_column("")
        for name, text in lines.items():
            table.add_row(name, text)
        Console().print(table)


def _opponent_help() -> dict[str, str]:
    """Return the first line of what each opponent's maker says of it."""
    docs = {name: find_maker(name).__doc__ or "" for name in OPPONENTS}
    return {name: text.strip().partition("\n")[0] for name, text in docs.items()}
