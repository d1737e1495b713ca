"""Every claim of the project for every meta-training seed, on held-out tasks.

Each policy given is one seed of a recipe, or the ensemble that is shipped. All meet the same
opponents on the same tasks, seeds and initial rates; what opponents reached is run once and kept in
the folder, and a second start goes on where the first one ended.

    python -m benchmarks.claims supervised logs/zoo/supervised/*/policy --out logs/claims
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from agents.commands.compare import CompareConfig
from agents.commands.compare import run as compare
from agents.commands.policies import load_policy
from agents.comparing.records import read_records
from agents.comparing.results import RECORDS_FILE
from agents.statistics import claims
from agents.statistics.pairing import PairedRuns, pair_runs
from hpo_env.policy import Policy

RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
SEARCH, POPULATION, HALVING = "optuna_tpe", "pbt", "hyperband"
OPEN_LOOP, TUNED_COSINE = "open_loop", "cosine_tuned"

MAIN_OPPONENTS = (
    *claims.ONE_RUN,
    claims.OWN_SCHEDULE,
    OPEN_LOOP,
    POPULATION,
    HALVING,
    SEARCH,
)
SCHEDULES = (*claims.ONE_RUN, claims.OWN_SCHEDULE)
SUITES: dict[str, tuple[str, ...]] = {
    "interpolation": MAIN_OPPONENTS,
    "extrapolation": MAIN_OPPONENTS,
    "longer": SCHEDULES,
    "wider": SCHEDULES,
}
"""The suites that the claims are about, and who is met there."""

REPEATED = ("interpolation",)
"""Where each task is run from each rate with several seeds, beside the user's own schedule. A run
of `extrapolation` costs sixteen times as much: there it is the seeds of all other claims."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure every claim for every meta-training seed.

    Args:
        policies: Names of shipped policies, or folders of policies: one a column.
        out: Folder of the finished runs, and of claims.json and claims.md.
        hyperparameters: What can be moved, as in a loop that lacks the rest; all when not given.
        suites: Suites to run.
        tasks: Tasks of each suite.
        seeds: Runs of each task from each initial rate.
        harm_seeds: The same, where only the user's own schedule is met: for the worst case and the
            spread over initial rates, which single runs are too noisy for.
        runs: Runs that a search may spend on one instance.
        population: Runs of PBT.
        tuning_tasks: Meta-training tasks on which opponents are tuned.
        num_workers: Jobs at a time; all cores when not given.
    """

    policies: tyro.conf.Positional[tuple[str, ...]]
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    hyperparameters: tuple[str, ...] | None = None
    suites: tuple[str, ...] = tuple(SUITES)
    tasks: int = 12
    seeds: int = 1
    harm_seeds: int = 5
    runs: int = 32
    population: int = 16
    tuning_tasks: int = 16
    num_workers: int | None = None


def main(options: Options) -> None:
    """Run what is missing, then write and print the claims."""
    found = []
    for policy in options.policies:
        runs = {s: _run(options, policy, s, SUITES[s], options.seeds) for s in options.suites}
        own = (claims.OWN_SCHEDULE,)
        repeated = {
            s: _run(options, policy, s, own, options.harm_seeds)
            for s in options.suites
            if s in REPEATED
        }
        found.append(describe(load_policy(policy), runs, repeated))
        _write(options.out, found)
    Console().print(table(found))


def _run(
    options: Options, policy: str, suite: str, opponents: tuple[str, ...], seeds: int
) -> PairedRuns:
    config = CompareConfig(
        policy=policy,
        hyperparameters=options.hyperparameters,
        out=options.out,
        preset="standard",
        suites=(suite,),
        opponents=opponents,
        tasks=options.tasks,
        seeds=seeds,
        runs=options.runs,
        population=options.population,
        starts=RATES,
        tuning_tasks=options.tuning_tasks,
        num_workers=options.num_workers,
    )
    compare(config)
    return pair_runs(read_records(options.out / RECORDS_FILE))[0]


def describe(
    policy: Policy, runs: Mapping[str, PairedRuns], repeated: Mapping[str, PairedRuns]
) -> dict[str, Any]:
    """Measure all claims of one policy, as plain data.

    Args:
        policy: The policy.
        runs: Paired runs by suite.
        repeated: Those of several seeds, by suite.
    """
    measured: dict[str, Any] = {"policy": label(policy), "suites": {}}
    for suite, paired in runs.items():
        entry: dict[str, Any] = {
            "runs": len(paired.reference),
            "data_sets": len(set(paired.keys("task"))),
            "log_test_loss": float(paired.values("log_test_loss")[0].mean()),
            "one_run": [asdict(v) for v in claims.versus(paired, claims.ONE_RUN)],
            "others": [
                asdict(v) for v in claims.versus(paired, (OPEN_LOOP, POPULATION, HALVING, SEARCH))
            ],
        }
        often = repeated.get(suite, paired)
        entry["worst_case"] = asdict(claims.worst_case(often))
        entry["rate_spread"] = asdict(claims.spread_over_rates(often))
        entry["rate_spread_of_single_runs"] = asdict(claims.spread_over_rates(paired))
        needed = claims.trials(paired, SEARCH)
        if needed is not None:
            entry["trials"] = {"median": asdict(needed[0]), "budget": needed[1]}
        measured["suites"][suite] = entry
    return measured


def label(policy: Policy) -> str:
    """Name a policy by the meta-training seeds that it comes from."""
    members = policy.metadata.get("members")
    if members:
        seeds = sorted(member["seed"] for member in members)
        return f"ensemble of seeds {', '.join(map(str, seeds))}"
    return f"seed {policy.metadata['config']['seed']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A claim in the table.

    Args:
        claim: What is claimed, in words.
        goal: What it is to reach.
        suite: Where.
        read: Makes the words of a cell from a suite's entry in `describe`.
    """

    claim: str
    goal: str
    suite: str
    read: Callable[[dict[str, Any]], str]


def _strongest(entry: dict[str, Any]) -> str:
    first = entry["one_run"][0]
    return f"{first['opponent']}: {_words(first['probability'])}"


def _strongest_difference(entry: dict[str, Any]) -> str:
    return _words(entry["one_run"][0]["difference"], signed=True)


def _difference(opponent: str) -> Callable[[dict[str, Any]], str]:
    def read(entry: dict[str, Any]) -> str:
        for found in (*entry["others"], *entry["one_run"]):
            if found["opponent"] == opponent:
                return _words(found["difference"], signed=True)
        return ""

    return read


def _trials(entry: dict[str, Any]) -> str:
    if "trials" not in entry:
        return ""
    interval, budget = entry["trials"]["median"]["runs"], entry["trials"]["budget"]
    low, value, high = (
        f"> {budget}" if interval[name] > budget else f"{interval[name]:.0f}"
        for name in ("low", "estimate", "high")
    )
    return f"{value} [{low}, {high}]"


def _worst(entry: dict[str, Any]) -> str:
    worst = entry["worst_case"]
    single = f"single run {worst['run_excess']:+.3f}, {100 * worst['harmed']:.0f} % above +0.05"
    return f"{worst['excess']:+.3f} ({worst['task']}); {single}"


def _spread(entry: dict[str, Any]) -> str:
    chance = f"{100 * entry['rate_spread']['chance']:.1f} % by chance"
    return f"{_share(entry['rate_spread'])}; {chance}"


def _spread_of_single_runs(entry: dict[str, Any]) -> str:
    return _share(entry["rate_spread_of_single_runs"])


def _share(spread: Mapping[str, Any]) -> str:
    interval = spread["share"]["runs"]
    value, low, high = (f"{100 * interval[name]:.1f}" for name in ("estimate", "low", "high"))
    return f"{value} % [{low}, {high}]"


def _words(estimate: Mapping[str, Any], *, signed: bool = False) -> str:
    """Write an estimate and its interval for new runs on these data sets."""
    interval, sign = estimate["runs"], "+" if signed else ""
    value, low, high = (f"{interval[n]:{sign}.3f}" for n in ("estimate", "low", "high"))
    return f"{value} [{low}, {high}]"


LINES = (
    *(
        Line(claim="mean log test loss", goal="", suite=suite,
             read=lambda entry: f"{entry['log_test_loss']:.3f}")
        for suite in SUITES
    ),
    Line(claim="P against the best tuned one-run opponent", goal="0.75, lower end > 0.5",
         suite="interpolation", read=_strongest),
    Line(claim="the same, difference", goal="", suite="interpolation", read=_strongest_difference),
    Line(claim="P against the best tuned one-run opponent", goal="0.65, lower end > 0.5",
         suite="extrapolation", read=_strongest),
    Line(claim="the same, difference", goal="", suite="extrapolation", read=_strongest_difference),
    Line(claim="trials-equivalent of TPE, median", goal="32", suite="interpolation", read=_trials),
    Line(claim="trials-equivalent of TPE, median", goal="16", suite="extrapolation", read=_trials),
    *(
        Line(claim=f"against {name}", goal="interval reaches 0", suite=suite,
             read=_difference(opponent))
        for suite in ("interpolation", "extrapolation")
        for name, opponent in (("PBT", POPULATION), ("Hyperband", HALVING))
    ),
    *(
        Line(claim="worst task against the user's own schedule", goal="at most +0.05",
             suite=suite, read=_worst)
        for suite in ("interpolation", "extrapolation")
    ),
    Line(claim="spread over initial rates, mean of seeds", goal="under 3 %",
         suite="interpolation", read=_spread),
    *(
        Line(claim="spread over initial rates, single runs", goal="under 3 %", suite=suite,
             read=_spread_of_single_runs)
        for suite in ("interpolation", "extrapolation")
    ),
    Line(claim="4x longer, against tuned cosine", goal="above 0", suite="longer",
         read=_difference(TUNED_COSINE)),
    Line(claim="4x wider, against tuned cosine", goal="above 0", suite="wider",
         read=_difference(TUNED_COSINE)),
    *(
        Line(claim="against its own mean course, replayed", goal="above 0", suite=suite,
             read=_difference(OPEN_LOOP))
        for suite in ("interpolation", "extrapolation")
    ),
)  # fmt: skip
"""The claims, a row each."""


def rows(found: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Make the table's rows: claim, suite, goal, then a cell for each policy."""
    return [
        [line.claim, line.suite, line.goal, *(line.read(f["suites"][line.suite]) for f in found)]
        for line in LINES
        if all(line.suite in f["suites"] for f in found)
    ]


def headings(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the table's columns."""
    return ["claim", "suite", "goal", *(f["policy"] for f in found)]


def table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Make the table for a terminal."""
    made = Table(title="Claims, one column a policy", show_lines=True)
    for heading in headings(found):
        made.add_column(heading)
    for row in rows(found):
        made.add_row(*row)
    return made


def _write(out: Path, found: Sequence[Mapping[str, Any]]) -> None:
    (out / "claims.json").write_text(json.dumps(list(found), indent=1) + "\n")
    columns = headings(found)
    lines = [columns, ["---"] * len(columns), *rows(found)]
    text = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    (out / "claims.md").write_text(text + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
