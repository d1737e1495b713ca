"""What the second, fourth and eighth run of one job are worth, by how each chooses where it begins.

    python benchmarks/repeated_runs.py --json repeated_runs.json

Meta-validation tasks of supervised learning; every task is a job that is run again and again, each
time with other weights and minibatches, from a user's learning rate of 1e-4, 1e-3, 1e-2 or 1e-1. In
controlled runs the shipped policy steers:

- independent: from the user's values, every time;
- memory: where the job's memory says (`hpo_env.control.run_memory`);
- memory-matched: the same, with `explores="matched"`;
- study: where an Optuna study says (`hpo_env.integrations.optuna`), the user's values first;
- random: from values drawn evenly from the usual ranges.

- tpe, plain-random: study and random without the policy: cosine schedules from what they propose.

`--runs 32 --figure curve.png` measures the compute curve: what the best of 1, 2, 4 ... 32 runs is
worth, chosen by validation, and what the study is ahead of everybody by, with 95 % intervals over
jobs. `--suite interpolation` takes data sets of the test side, with models of meta-training.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import optuna
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from agents.opponents.ablations import PolicyOpponent
from agents.opponents.base import Instance
from agents.opponents.driving import run_once
from agents.opponents.instances import Outcome
from agents.opponents.lanes import Workload
from agents.opponents.matched_start import MatchedStart
from agents.opponents.rules import find_rule
from agents.reporting.style import new_figure, styled
from agents.statistics.intervals import bootstrap_mean
from hpo_env.control.decider import movable
from hpo_env.control.looks import Look
from hpo_env.control.run_memory import StoredRun, chosen
from hpo_env.control.stored_tasks import read_stored_tasks
from hpo_env.controller import Controller
from hpo_env.integrations.optuna import create_study, proposed
from hpo_env.seeding import stream
from hpo_env.shipped import policy_folder
from hpo_env.tasks.base import Task, TaskFamily
from hpo_env.tasks.registry import family_class, make_family

Array = NDArray[np.float64]
RATES = (1e-4, 1e-3, 1e-2, 1e-1)


class Job:
    """One task that is run again and again, under one way of choosing.

    Args:
        task: With the user's own values.
        controller: What steers.
        seed: Of what is drawn.
    """

    def __init__(self, task: Task, controller: Controller, seed: int) -> None:
        self._family = make_family("supervised")
        self._controller, self.task = controller, task
        self.space = controller.policy.space
        self._rng = stream(seed, "repeated runs")
        there = dict(zip(self._family.space.names, task.initial, strict=True))
        self.own = movable(self.space, there)
        self.runs: list[StoredRun] = []
        self.look: Look = {}  # of the newest run, where it matters
        self._study: Any = None
        self._trial: Any = None
        self._start: dict[str, float] = {}

    def begun(self, start: Mapping[str, float]) -> Task:
        """Return the task as it begins there."""
        self._start = dict(start)
        pairs = zip(self._family.space.names, self.task.initial, strict=True)
        return replace(self.task, initial=tuple(start.get(name, own) for name, own in pairs))

    def told(self, outcome: Outcome) -> None:
        """Take in what the run has reached."""
        reached = math.inf if outcome.diverged else outcome.log_last_loss()
        name = str(len(self.runs))
        self.runs.append(
            StoredRun(identity=name, start=self._start, reached=reached, look=self.look)
        )
        if self._trial is not None:
            self._study.tell(self._trial, reached)

    def independent(self) -> dict[str, float]:
        """Begin at the user's values."""
        return self.own

    def memory(self) -> dict[str, float]:
        """Begin where the memory says."""
        return chosen(self.runs, self.space, self.own, self._rng)

    def matched(self) -> dict[str, float]:
        """Begin where it says if it explores what suited tasks of meta-training that looked so."""
        stored = read_stored_tasks(policy_folder("supervised"))
        return chosen(self.runs, self.space, self.own, self._rng, stored)

    def random(self) -> dict[str, float]:
        """Begin anywhere, as a study does that has no user's values and learns nothing."""
        trial = optuna.create_study(
            sampler=optuna.samplers.RandomSampler(seed=int(self._rng.integers(2**31)))
        ).ask()
        return proposed(trial, self.space, self.own)

    def study(self) -> dict[str, float]:
        """Begin where the study says."""
        if self._study is None:
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=4, seed=int(self._rng.integers(2**31))
            )
            self._study = create_study(self._controller, initial=self.own, sampler=sampler)
        self._trial = self._study.ask()
        return proposed(self._trial, self.space, self.own)


ARMS: dict[str, tuple[Callable[[Job], dict[str, float]], bool]] = {
    "independent": (Job.independent, True),
    "memory": (Job.memory, True),
    "memory-matched": (Job.matched, True),
    "study": (Job.study, True),
    "random": (Job.random, True),
    "tpe": (Job.study, False),
    "plain-random": (Job.random, False),
}
"""How a job chooses, and whether the policy steers."""


def draw(num_tasks: int, seed: int, suite: str = "validation") -> list[Task]:
    """Draw tasks, and the users' learning rates in turn."""
    options = {of.name: of.options for of in family_class("supervised").suites}[suite]
    family = make_family("supervised", **options)
    return as_users_begin(family, num_tasks, stream(seed, "repeated runs", "tasks"))


def as_users_begin(family: TaskFamily, num_tasks: int, rng: np.random.Generator) -> list[Task]:
    """Draw tasks of a family, under the users' learning rates in turn."""
    family.set_num_threads(1)
    column, tasks = family.space.index("learning_rate"), []
    for number in range(num_tasks):
        task = family.sample(rng)
        initial = list(task.initial)
        initial[column] = RATES[number % len(RATES)]
        tasks.append(replace(task, initial=tuple(initial)))
    return tasks


def run_arm(name: str, tasks: list[Task], seed: int, num_runs: int) -> tuple[Array, Array]:
    """Run every job so many times.

    Returns:
        Log validation and log test losses of each run, `[tasks, runs]`.
    """
    choose, is_steered = ARMS[name]
    workload, controller = Workload(), Controller.from_pretrained("supervised")
    jobs = [Job(task, controller, seed + number) for number, task in enumerate(tasks)]
    opponent, rule = PolicyOpponent(name=name, policy=controller.policy), find_rule("cosine")
    looking = MatchedStart(name=name, policy=controller.policy)
    validation, test = (np.full((len(tasks), num_runs), np.nan) for _ in range(2))
    for run in range(num_runs):
        seed_of_run = seed * num_runs + run
        runs = [Instance(task=job.begun(choose(job)), seed=seed_of_run) for job in jobs]
        if name.startswith("memory"):
            for job, look in zip(jobs, looking.looks(workload, runs), strict=True):
                job.look = look
        if is_steered:
            outcomes = opponent.run(workload, runs, {})
        else:
            outcomes = run_once(workload, runs, lambda lanes: rule(lanes, lanes.initial))
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.told(outcome)
        validation[:, run] = [outcome.log_last_loss() for outcome in outcomes]
        test[:, run] = [outcome.log_test_loss() for outcome in outcomes]
    return validation, test


def best_of(validation: Array, test: Array, count: int) -> Array:
    """Return the test losses of the runs that validation would choose of the first `count`."""
    best = validation[:, :count].argmin(axis=1)
    chosen_of_each: Array = test[np.arange(len(test)), best]
    return chosen_of_each


def shown(num_runs: int) -> list[int]:
    """Return the powers of 2 up to there."""
    return [2**k for k in range(num_runs.bit_length())]


Losses = dict[str, tuple[Array, Array]]
"""Validation and test losses of each arm, `[tasks, runs]`."""


def main(
    *,
    tasks: int = 48,
    runs: int = 8,
    suite: Literal["validation", "interpolation"] = "validation",
    seed: int = 0,
    arms: tuple[str, ...] = tuple(ARMS),
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
    figure: Path | None = None,
) -> None:
    """Compare ways of choosing where the runs of one job begin.

    Args:
        tasks: Jobs.
        runs: Of each job.
        suite: Of supervised learning, from which jobs are drawn.
        seed: From which all draws follow.
        arms: Names of `ARMS`.
        json_path: Where every loss is written, and read again: an arm that is there is not run.
        figure: Where the curve is drawn, if it is to be.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    drawn = draw(tasks, seed, suite)
    losses = read(json_path)
    for name in arms:
        if name not in losses:
            losses[name] = run_arm(name, drawn, seed, runs)
            _write(losses, json_path)
    console = Console(width=140)
    console.print(_table(losses, runs))
    for reference in ("independent", "study"):
        for name in losses if reference in losses else ():
            if name != reference:
                console.print(_gaps(losses, name, reference, runs))
    if figure is not None:
        draw_curve(losses, runs, figure)


def read(path: Path | None) -> Losses:
    """Read what `main` wrote as JSON; nothing where there is none."""
    if path is None or not path.exists():
        return {}
    known = json.loads(path.read_text())
    return {n: (np.array(arm["validation"]), np.array(arm["test"])) for n, arm in known.items()}


def _write(losses: Losses, path: Path | None) -> None:
    if path is not None:
        written = {
            n: {"validation": v.tolist(), "test": t.tolist()} for n, (v, t) in losses.items()
        }
        path.write_text(json.dumps(written) + "\n")


def _table(losses: Losses, runs: int) -> Table:
    counts = shown(runs)
    table = Table(title="log test loss: best of the first k runs; the k-th run alone")
    for heading in ("", *(f"best of {k}" for k in counts), *(f"run {k}" for k in counts)):
        table.add_column(heading, justify="right")
    for name, (validation, test) in losses.items():
        row = [f"{best_of(validation, test, k).mean():.4f}" for k in counts]
        table.add_row(name, *row, *(f"{test[:, k - 1].mean():.4f}" for k in counts))
    return table


def _gaps(losses: Losses, name: str, reference: str, runs: int) -> str:
    """Write what an arm's best of k, and its k-th run alone, are above the other's best of k."""
    parts = []
    for k in shown(runs):
        other = best_of(*losses[reference], k)
        whole, alone = (
            _interval(own - other) for own in (best_of(*losses[name], k), losses[name][1][:, k - 1])
        )
        parts.append(f"  {k}: {whole}, run {k} alone {alone}")
    return "\n".join((f"{name} less {reference}'s best of", *parts))


def _interval(gaps: Array) -> str:
    found = bootstrap_mean(gaps, np.zeros(len(gaps)), np.arange(len(gaps)))
    return f"{found.estimate:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def draw_curve(losses: Losses, runs: int, path: Path) -> None:
    """Draw log test loss against the number of runs, the mean over jobs."""
    counts = shown(runs)
    with styled():
        whole = new_figure(6.0, 3.6)
        axes = whole.add_subplot()
        for name, arm in losses.items():
            means = [best_of(*arm, k).mean() for k in counts]
            style = "-" if ARMS[name][1] else "--"
            axes.plot(counts, means, style, marker="o", markersize=3, label=name)
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(k) for k in counts])
        axes.set_xlabel("runs")
        axes.set_ylabel("log test loss of the best run")
        axes.legend()
        whole.savefig(path)


if __name__ == "__main__":
    tyro.cli(main)
