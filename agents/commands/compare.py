"""`hpo-control compare`: the controller and all its opponents on the same runs.

What is finished is kept in the output folder and never run again, so a comparison that was killed,
or that is asked for more, is started by the same command.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from agents.commands.evaluate import policy_folder
from agents.comparing import results
from agents.comparing.display import Display, make_display
from agents.comparing.jobs import Job, make_jobs
from agents.comparing.matrix import Extent, Matrix, build_matrix
from agents.comparing.ray_workers import RayWorkers
from agents.comparing.running import Failure, IncompleteComparisonError, run_jobs
from agents.comparing.store import Store
from agents.comparing.workers import InProcess, ProcessWorkers, Workers
from agents.evaluation.comparison import INITIAL_RATES
from agents.evaluation.methods import check_fits
from agents.evaluation.pairing import REFERENCE
from agents.evaluation.suites import SUITES, check_suites
from agents.opponents.base import Opponent, Setup
from agents.opponents.registry import OPPONENTS, check_opponents, make_opponent
from agents.reporting.comparisons import terminal_tables
from agents.run_folder import installed_versions
from hpo_env.controller import ZOO, Controller
from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from hpo_env.restriction import restrict
from hpo_env.tasks.base import Engine
from hpo_env.tasks.registry import make_family

_QUICK_OPPONENTS = (
    "default",
    "cosine",
    "one_cycle",
    "plateau",
    "user_constant",
    "frozen",
    "random_moves",
    "fixed_tuned",
    "cosine_tuned",
    "cosine_per_optimizer",
    "random_search",
    "optuna_tpe",
    "pbt",
)
_RESULT_SUITES = tuple(name for name in SUITES if name != "validation")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How much to run; every field is the default of the setting of its name.

    Args:
        suites: Names in `SUITES`.
        opponents: Names in the registry; None takes all.
        tasks: Tasks of each suite.
        seeds: Runs of each task from each initial rate.
        runs: Full runs that a search may spend on one instance.
        population: Runs that a population keeps.
        initial_rates: Learning rates that every task is started from.
        tuning_tasks: Meta-training tasks on which opponents are tuned.
    """

    suites: tuple[str, ...]
    opponents: tuple[str, ...] | None
    tasks: int
    seeds: int
    runs: int
    population: int
    initial_rates: tuple[float, ...]
    tuning_tasks: int


PRESETS: dict[str, Preset] = {
    "quick": Preset(
        suites=("interpolation", "architecture"),
        opponents=_QUICK_OPPONENTS,
        tasks=6,
        seeds=3,
        runs=16,
        population=8,
        initial_rates=(1e-4, 1e-1),  # too low and too high by far: what a user may start with
        tuning_tasks=8,
    ),
    "standard": Preset(
        suites=_RESULT_SUITES,
        opponents=None,
        tasks=8,
        seeds=3,
        runs=32,
        population=16,
        initial_rates=INITIAL_RATES["supervised"],
        tuning_tasks=24,
    ),
    "full": Preset(
        suites=_RESULT_SUITES,
        opponents=None,
        tasks=24,
        seeds=5,
        runs=64,
        population=32,
        initial_rates=INITIAL_RATES["supervised"],
        tuning_tasks=64,
    ),
}
"""All leave the suite `validation` out, which is for decisions and not for results."""


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Compare a policy with its opponents, and keep every finished run; start again to go on.

    Args:
        policy: The name of a policy that we ship, the folder of one, or a run folder.
        hyperparameters: What can be moved, as in a loop that lacks the rest; all that the policy
            moves when not given. Opponents choose the same.
        out: Folder of the results, logs/compare-<preset> when not given; what is there already is
            used.
        preset: How much to run: quick (minutes on two cores), standard (all opponents and suites)
            or full (the same on more tasks). Sets the next eight settings; a flag that you give
            wins over it.
        suites: What is held out; see --list.
        opponents: What the controller is compared with; see --list. The controller always runs.
        tasks: Tasks of each suite.
        seeds: Runs of each task from each initial rate.
        runs: Full runs that a search may spend on one instance.
        population: Runs that a population, such as PBT's, keeps.
        initial_rates: Learning rates of the user, every task being started from each.
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
        list: Print opponents and suites, and do nothing else.

    Raises:
        UnknownNameError: No such preset, opponent or suite; the nearest are suggested.
        ConfigurationError: A number is out of range.
    """

    policy: tyro.conf.Positional[str] = "supervised"
    hyperparameters: tuple[str, ...] | None = None
    out: Path | None = None
    preset: str = "quick"
    suites: tuple[str, ...] | None = None
    opponents: tuple[str, ...] | None = None
    tasks: int | None = None
    seeds: int | None = None
    runs: int | None = None
    population: int | None = None
    initial_rates: tuple[float, ...] | None = None
    tuning_tasks: int | None = None
    seed: int = 0
    workers: Literal["process", "ray"] = "process"
    num_workers: int | None = None
    ray_address: str | None = None
    storage: str | None = None
    engine: Engine = "auto"
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
        amounts = self.amounts
        check_suites(amounts.suites)
        check_opponents(amounts.opponents or ())
        if not amounts.suites:
            raise ConfigurationError("suites must name at least one; see --list")
        _ = self.extent

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return Path("logs") / f"compare-{self.preset}" if self.out is None else self.out

    @property
    def amounts(self) -> Preset:
        """The preset, with what was given instead of it."""
        given = {name: getattr(self, name) for name in Preset.__dataclass_fields__}
        return replace(PRESETS[self.preset], **{n: v for n, v in given.items() if v is not None})

    @property
    def extent(self) -> Extent:
        """How much is run."""
        amounts = self.amounts
        return Extent(
            num_tasks=amounts.tasks,
            num_seeds=amounts.seeds,
            num_tuning_tasks=amounts.tuning_tasks,
            initial_rates=amounts.initial_rates,
            seed=self.seed,
            engine=self.engine,
        )

    @property
    def opponent_names(self) -> tuple[str, ...]:
        """All that is run, the controller first."""
        chosen = self.amounts.opponents
        return tuple(dict.fromkeys((REFERENCE, *(OPPONENTS if chosen is None else chosen))))

    @property
    def storage_address(self) -> str | None:
        """Database of Optuna's studies; None keeps them in the workers' memory."""
        if self.storage is None and self.workers == "process":
            return f"sqlite:///{self.folder.absolute() / 'optuna.db'}"
        return self.storage


def main(args: Sequence[str]) -> None:
    """Compare as the arguments say."""
    run(tyro.cli(CompareConfig, args=list(args), prog="hpo-control compare"))


def run(config: CompareConfig) -> None:
    """Run what is missing, print a table a suite, and write the results.

    Raises:
        PolicyFileError: There is no policy, or it cannot be used.
        MissingExtraError: An opponent, or Ray, needs a package that is not installed.
        ConfigurationError: The folder cannot be written, or the policy does not fit a suite.
        IncompleteComparisonError: Some jobs came to nothing; all others are done.
    """
    if config.list:
        Console().print(_listing("opponent", _opponent_help()))
        Console().print(_listing("suite", {s.name: s.help for s in SUITES.values()}))
        return
    started = time.perf_counter()
    policy = load_policy(config.policy, config.hyperparameters)
    opponents = _make_opponents(config, policy)
    suites = [SUITES[name] for name in dict.fromkeys(config.amounts.suites)]
    for suite in suites:
        check_fits(policy, make_family(suite.family).space, suite.family)
    matrix = build_matrix(opponents, policy.space.names, suites, config.extent)
    _make_folder(config.folder)
    store = Store(config.folder)
    missing = [key for key in matrix.cells if store.read_cell(key) is None]
    failures = _run_missing(config, store, make_jobs(matrix, missing, store), len(matrix.cells))
    num_lost = sum(failure.num_cells for failure in failures)
    content = {
        "title": _title(config),
        "config": _resolved(config),
        "hyperparameters": policy.space.to_json(),
        "opponents": {o.name: o.identity() for o in opponents},
        "versions": installed_versions(results.PACKAGES),
        "machine": results.describe_machine(),
        "cells_run": len(missing) - num_lost,
        "cells_reused": len(matrix.cells) - len(missing),
        "cells_lost": num_lost,
        "wall_clock_seconds": round(time.perf_counter() - started, 1),
        "prepared": _prepared_files(matrix, store),
        "failures": [asdict(failure) for failure in failures],
    }
    _finish(config, matrix, store, content)
    if failures:
        lines = "".join(f"\n  {f.job}: {f.error}" for f in failures)
        raise IncompleteComparisonError(
            f"{len(failures)} jobs came to nothing, {num_lost} cells are missing; all others are "
            f"done. Tracebacks: {config.folder / results.COMPARISON_FILE}. The same command tries "
            f"them again.{lines}"
        )


def load_policy(name_or_path: str, hyperparameters: Sequence[str] | None = None) -> Policy:
    """Load a policy by the name of one that we ship, from its folder or from a run folder.

    Args:
        name_or_path: Which policy.
        hyperparameters: What it can move; None leaves all to it.

    Raises:
        PolicyFileError: There is none.
        UnknownNameError: It does not move what is named.
    """
    shipped = [folder.name for folder in ZOO.iterdir()] if ZOO.is_dir() else []
    if name_or_path not in shipped and Path(name_or_path).is_dir():
        policy = load(policy_folder(Path(name_or_path)))
    else:
        policy = Controller.from_pretrained(name_or_path).policy
    return policy if hyperparameters is None else restrict(policy, hyperparameters)


def _make_opponents(config: CompareConfig, policy: Policy) -> list[Opponent]:
    setup = Setup(
        policy=policy,
        knobs=policy.space.names,
        num_runs=config.amounts.runs,
        num_lanes=config.amounts.population,
        storage=config.storage_address,
    )
    return [make_opponent(name, setup) for name in config.opponent_names]


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


def _finish(config: CompareConfig, matrix: Matrix, store: Store, content: dict[str, Any]) -> None:
    console, frame = Console(), results.collect(matrix, store)
    results.write_comparison(config.folder, content)
    if not len(frame):
        return
    results.write_table(frame, config.folder)
    for table in terminal_tables(frame):
        console.print(table)
    console.print(
        f"{content['cells_run']} cells run, {content['cells_reused']} reused, "
        f"{content['wall_clock_seconds']:.0f} s; results: {config.folder}",
        f"for the report: hpo-control report {config.folder}",
        sep="\n",
        highlight=False,
        soft_wrap=True,
    )


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{out}: the folder cannot be made: {error.strerror}") from error


def _prepared_files(matrix: Matrix, store: Store) -> dict[str, str]:
    """Return where it stands what each opponent has learned."""
    return {
        p.opponent.name: str(store.prepared_path(p.key).relative_to(store.folder))
        for p in matrix.preparations.values()
    }


def _resolved(config: CompareConfig) -> dict[str, Any]:
    # Without the addresses of a database and a cluster, which may hold passwords.
    named = ("policy", "preset", "seed", "workers", "num_workers", "engine")
    settings = {name: getattr(config, name) for name in named}
    settings["hyperparameters"] = _as_list(config.hyperparameters)
    amounts = asdict(config.amounts) | {"opponents": config.opponent_names}
    return settings | {name: _as_list(value) for name, value in amounts.items()}


def _as_list(value: Any) -> Any:
    return [*value] if isinstance(value, tuple) else value


def _title(config: CompareConfig) -> str:
    amounts, moved = config.amounts, config.hyperparameters
    part = "" if moved is None else f" ({', '.join(moved)})"
    return (
        f"{config.policy}{part}: {len(config.opponent_names)} methods, "
        f"{', '.join(amounts.suites)}, {amounts.tasks} tasks, {amounts.seeds} seeds"
    )


def _listing(kind: str, lines: dict[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(kind, no_wrap=True)
    table.add_column("")
    for name, text in lines.items():
        table.add_row(name, text)
    return table


def _opponent_help() -> dict[str, str]:
    """Return the first line of what each opponent's maker says of it."""
    found = {}
    for name, address in OPPONENTS.items():
        module, _, attribute = address.partition(":")
        text = getattr(import_module(module), attribute).__doc__ or ""
        found[name] = text.strip().partition("\n")[0]
    return found
