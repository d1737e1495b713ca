"""Boosting under a policy, beside what it has to beat, on tables that it has not seen.

    python benchmarks/automl.py --on validation --policies logs/a/policy logs/b/policy
    python benchmarks/automl.py --on test --libraries own lightgbm xgboost --trials 8 32

Runs have 200 rounds and 40 decisions (`--decisions 20`: as in `fit`), on whole tables, split three
times. Every run is judged by the log test loss of its best round on validation rows (log loss, or
root mean square error), so that 0.01 is one per cent. Differences are paired: the mean over the
splits of a table, then over tables, with bootstrap intervals of 95 % over tables. `--on test` opens
the held-out side: what is to be shipped has to be chosen on `validation` before.

Writes `<name>.csv`, a row a run, and `<name>.md`, the differences, into the output folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from benchmarks.automl_runs import Results, run_courses, run_policy, starting_at
from benchmarks.automl_searches import search_by_tpe
from benchmarks.automl_tuning import CASES, course_of
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from hpo_env.seeding import stream
from hpo_env.tasks.automl.family import AutomlFamily
from hpo_env.tasks.automl.space import LIBRARY_NAMES
from hpo_env.tasks.automl.task import AutomlTask

Array = NDArray[np.float64]
On = Literal["validation", "test"]

ALL_ROUNDS = 200
SHIPPED = Path("hpo_env/zoo/automl")
TUNED = Path("benchmarks/results/automl/tuned.json")
_NUM_RESAMPLES = 2000
_LOW_RATE = 0.03


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measure boosting under policies.

    Args:
        on: validation (for decisions) or test.
        policies: Folders of policies; the shipped one when none is given.
        libraries: Of own, lightgbm and xgboost.
        trials: Numbers of trials of TPE to compare with, on the own booster.
        splits: How often each table is split.
        most_rows: Of a table that are used; more than there are for all.
        least_rows: Of a table, or it is left out.
        decisions: In a run, a divisor of 200.
        name: Of the files; by default the side.
        out: Where the tables go.
    """

    on: On = "validation"
    policies: tuple[Path, ...] = ()
    libraries: tuple[str, ...] = ("own",)
    trials: tuple[int, ...] = ()
    splits: int = 3
    most_rows: int = 1_000_000
    least_rows: int = 0
    decisions: int = 40
    name: str | None = None
    out: Path = Path("benchmarks/results/automl")


class Panel:
    """The tasks of a side, and where runs of them begin.

    Args:
        family: Of the side.
        splits: How often each table is split.
        least_rows: Of a table, or it is left out.
    """

    def __init__(self, family: AutomlFamily, splits: int, least_rows: int = 0) -> None:
        self.family = family
        self.tasks: list[AutomlTask] = [
            task
            for split in range(splits)
            for task in family.tasks(split)
            if task.num_rows >= least_rows
        ]
        self.decisions = self.tasks[0].num_decisions
        self.seeds = [1000 + place for place in range(len(self.tasks))]
        self.defaults = np.array([task.initial for task in self.tasks])
        learned = [family.at_learned_start(task).initial for task in self.tasks]
        self.learned = np.array(learned)

    def kept(self, initial: Array) -> Array:
        """Keep settings `[N, H]` for a whole run `[N, T, H]`."""
        return np.repeat(initial[:, None], self.decisions, axis=1)

    def low_rate(self) -> Array:
        """Return the defaults at a low rate `[N, H]`."""
        low = self.defaults.copy()
        low[:, 0] = _LOW_RATE
        return low

    def random(self) -> Array:
        """Draw starts `[N, H]`."""
        rng = stream(0, "starts")
        return np.array([self.family.random_start(rng) for _ in self.tasks])

    def tuned_course(self) -> Array:
        """Return the course that was tuned on training tables, by case `[N, T, H]`."""
        written = json.loads(TUNED.read_text())
        space, courses = self.family.space, []
        for task in self.tasks:
            case = next(
                case
                for case in CASES
                if case[0] == task.target and case[1] <= task.num_train_rows < case[2]
            )
            ends = np.tile(space.defaults, (2, 1))
            for row, named in zip(ends, written["/".join(map(str, case))]["course"], strict=True):
                row[: len(LIBRARY_NAMES)] = [named[name] for name in LIBRARY_NAMES]
            axis = space.to_axis(ends)[:, : len(LIBRARY_NAMES)]
            courses.append(course_of(self.family, axis, self.decisions))
        return np.stack(courses)

    def mean_course(self, policy: Policy) -> Array:
        """Return the policy's mean course on training tables, of each target `[N, T, H]`."""
        family = AutomlFamily(
            num_decisions=self.decisions, rounds_per_decision=ALL_ROUNDS // self.decisions
        )
        tasks = [family.at_learned_start(task) for task in family.tasks(0)]
        assert all(isinstance(task, AutomlTask) for task in tasks)
        trained: list[AutomlTask] = tasks  # type: ignore[assignment]
        ran = run_policy("own", trained, policy, [5 + k for k in range(len(tasks))])
        space = family.space
        start = space.to_axis(np.array([task.initial for task in trained]))[:, None]
        corrections = space.to_axis(ran.values) - start
        means = {
            target: corrections[[t.target == target for t in trained]].mean(axis=0)
            for target in ("regression", "binary", "multiclass")
        }
        own = np.stack([means[task.target] for task in self.tasks])
        return space.values(self.kept(self.learned), own)


def measure(panel: Panel, config: Config, policies: dict[str, Policy]) -> pd.DataFrame:
    """Run all methods on all libraries; a row a run."""
    rows: list[dict[str, object]] = []

    def note(library: str, method: str, run: Callable[[], Results]) -> None:
        started = time.process_time()
        found = run()
        seconds = time.process_time() - started
        for place, task in enumerate(panel.tasks):
            rows.append(
                {
                    "library": library,
                    "method": method,
                    "table": task.table,
                    "target": task.target,
                    "rows": task.num_rows,
                    "split": task.split_seed,
                    "test": found.test[place],
                    "final": found.final[place],
                    "validation": found.validation[place],
                    "seconds": seconds / len(panel.tasks),
                }
            )
        print(f"{library} {method}: {found.test.mean():.4f}, {seconds:.1f} s", flush=True)

    for trials in config.trials:
        note("own", f"TPE {trials}", partial(search_by_tpe, panel.tasks, panel.seeds, trials))
    for library in config.libraries:
        courses = {
            "default": panel.kept(panel.defaults),
            "learned start kept": panel.kept(panel.learned),
        }
        if library == "own":
            courses["rate 0.03"] = panel.kept(panel.low_rate())
            courses["tuned course"] = panel.tuned_course()
            courses["random start kept"] = panel.kept(panel.random())
        for method, course in courses.items():
            note(library, method, partial(run_courses, library, panel.tasks, course, panel.seeds))
        starts = {"": panel.learned, " from the default": panel.defaults}
        starts[" from random starts"] = panel.random()
        for name, policy in policies.items():
            for suffix, initial in starts.items():
                tasks = starting_at(panel.tasks, initial)
                run = partial(run_policy, library, tasks, policy, panel.seeds)
                note(library, f"{name}{suffix}", run)
            if library == "own":
                course = panel.mean_course(policy)
                run = partial(run_courses, "own", panel.tasks, course, panel.seeds)
                note(library, f"{name}: mean course", run)
    return pd.DataFrame(rows)


def difference(
    frame: pd.DataFrame,
    method: str,
    opponent: str,
    library: str,
    other: str = "",
    column: str = "test",
) -> tuple[float, float, float, float]:
    """Return how far an opponent's log loss lies above a method's, and its interval over tables.

    Returns:
        The mean, both ends of the interval of 95 %, and the share of tables where it lies above.
    """
    mine = frame[(frame.method == method) & (frame.library == library)]
    theirs = frame[(frame.method == opponent) & (frame.library == (other or library))]
    keys = ["table", "split"]
    gap = theirs.set_index(keys)[column] - mine.set_index(keys)["test"]
    tables = gap.groupby("table").mean().to_numpy()
    rng = stream(0, "bootstrap")
    means = tables[rng.integers(len(tables), size=(_NUM_RESAMPLES, len(tables)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(tables.mean()), float(low), float(high), float((tables > 0.0).mean())


def report(frame: pd.DataFrame, policies: dict[str, Policy]) -> str:
    """Say how far each opponent lies behind each policy, in per cent."""
    lines = []
    for library in frame.library.unique():
        here = frame[frame.library == library]
        for name in policies:
            lines += [f"\n### {name} on {library}: opponents behind by, in per cent\n"]
            lines += ["| opponent | behind by | interval | tables behind |", "|---|---|---|---|"]
            for opponent in here.method.unique():
                if opponent == name:
                    continue
                lines.append(_row(frame, name, opponent, library))
            lines.append(
                _row(frame, name, "default", library, label="default, last round", final=True)
            )
    lines += ["\n### The same policy on other libraries\n"]
    lines += ["| policy, library | above the own booster by | interval | |", "|---|---|---|---|"]
    for name in policies:
        for library in frame.library.unique():
            if library != "own":
                found = difference(frame, name, name, "own", library)
                lines.append(_formatted(f"{name}, {library}", found))
    return "\n".join(lines) + "\n"


def _row(
    frame: pd.DataFrame,
    name: str,
    opponent: str,
    library: str,
    label: str = "",
    final: bool = False,
) -> str:
    column = "final" if final else "test"
    return _formatted(label or opponent, difference(frame, name, opponent, library, column=column))


def _formatted(label: str, found: tuple[float, float, float, float]) -> str:
    mean, low, high, share = found
    return f"| {label} | {100 * mean:.2f} | [{100 * low:.2f}, {100 * high:.2f}] | {share:.2f} |"


def main(config: Config) -> None:
    """Measure, and write what was found."""
    family = AutomlFamily(
        split=config.on,
        num_decisions=config.decisions,
        rounds_per_decision=ALL_ROUNDS // config.decisions,
        most_rows=config.most_rows,
    )
    panel = Panel(family, config.splits, config.least_rows)
    folders = config.policies or (SHIPPED,)
    policies = {
        folder.parent.name if folder.name == "policy" else folder.name: load(folder)
        for folder in folders
    }
    frame = measure(panel, config, policies)
    config.out.mkdir(parents=True, exist_ok=True)
    name = config.name or config.on
    frame.to_csv(config.out / f"{name}.csv", index=False, float_format="%.5f")
    text = report(frame, policies)
    (config.out / f"{name}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main(tyro.cli(Config))
