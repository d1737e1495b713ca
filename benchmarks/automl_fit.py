"""`fit` of the estimators of boosting against what people would call instead, on unseen tables.

    python benchmarks/automl_fit.py run --out benchmarks/results/automl/fit
    python benchmarks/automl_fit.py report --out benchmarks/results/automl/fit

Every learner gets the training and validation rows of a table and is asked about its test
rows. What is compared is the log of the log loss, or of the root mean square error: a difference of
0.01 is one per cent. Times are processor times of one core. Outcomes are written as they come, and
a run that is begun again goes on. The means are over tables, their intervals bootstrapped over
tables, each table being the mean of its splits.

Axes: `T` tables.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from benchmarks.automl_jobs import Job, Predict
from benchmarks.automl_learners import LEARNERS
from hpo_env.automl.ensembling import loss_of_outputs
from hpo_env.seeding import stream
from hpo_env.tasks.automl.family import AutomlFamily
from hpo_env.tasks.automl.problem import Problem, Side, problem_of
from hpo_env.tasks.base import Split

Array = NDArray[np.float64]

REFERENCE = "controlled"
_EQUAL_TIME = "controlled, 8 runs"
_FROM_DEFAULTS = "controlled, start of the user"
_CEILING = "TPE, 64 trials together"
_FLOORS = ("LightGBM, default", "LightGBM, default, stopped")
_NUM_RESAMPLES = 5_000


@dataclass(frozen=True, kw_only=True)
class Run:
    """Fit the learners on tables.

    Args:
        out: Folder of the results.
        policy: Name of a shipped policy, or the folder of one.
        side: "test" for results, "validation" for decisions.
        splits: Splits of each table.
        max_rows: Rows of a table in use, all sides together.
        only: Learners, by name; all when none is given.
        tables: Names of tables; all of the side when none is given.
    """

    out: Path
    policy: str = "automl"
    side: Split = "test"
    splits: int = 1
    max_rows: int = 5000
    only: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """Put the results of `run` into a table.

    Args:
        out: Folder of the results.
    """

    out: Path


def frame_of(problem: Problem, *sides: Side) -> pd.DataFrame:
    """Return the rows of some sides as a data frame, categories as categories."""
    x = np.concatenate([side.x for side in sides])
    columns: dict[str, Any] = {}
    for place, is_code in enumerate(problem.is_categorical):
        cells = pd.Series(x[:, place])
        if is_code:  # the levels of all sides, so that every learner knows what may come
            every = np.concatenate([side.x[:, place] for side in problem.sides])
            levels = np.unique(every[~np.isnan(every)]).astype(int)
            codes = cells.map(lambda cell: None if np.isnan(cell) else f"level {int(cell)}")
            cells = codes.astype(pd.CategoricalDtype([f"level {level}" for level in levels]))
        columns[f"x{place}"] = cells
    return pd.DataFrame(columns)


def fit_all(config: Run) -> None:
    """Fit every learner on every table, and write what it came to."""
    config.out.mkdir(parents=True, exist_ok=True)
    path = config.out / "fits.jsonl"
    done = {(row["table"], row["split"], row["learner"]): row for row in read(path)}
    for table, number, job, problem in jobs(config):
        for name in config.only or LEARNERS:
            if (table, number, name) in done:
                continue
            equal = done.get((table, number, _EQUAL_TIME), {"cpu_seconds": 10.0})
            row = {"table": table, "split": number, "learner": name}
            row |= fit_one(name, replace(job, seconds=equal["cpu_seconds"]), problem)
            done[table, number, name] = row
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), file=sys.stderr, flush=True)


def jobs(config: Run) -> Iterator[tuple[str, int, Job, Problem]]:
    """List what is to be learned: tables of a side, and splits of each."""
    family = AutomlFamily(split=config.side)
    for number in range(config.splits):
        for task in family.tasks(number):
            if config.tables and task.table not in config.tables:
                continue
            kept = replace(task, num_rows=min(task.num_rows, config.max_rows))
            problem = problem_of(kept)
            sides = (problem.train, problem.validation)
            yield (
                task.table,
                number,
                Job(
                    x=frame_of(problem, *sides),
                    y=np.concatenate([side.y for side in sides]),
                    target=problem.target,
                    num_classes=problem.num_classes,
                    seed=number,
                    seconds=0.0,
                    policy=config.policy,
                ),
                problem,
            )


def fit_one(name: str, job: Job, problem: Problem) -> dict[str, Any]:
    """Fit one learner, and return its test loss and what it took; an error where it failed."""
    cpu, wall = time.process_time(), time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ask = LEARNERS[name](job)
            took = {
                "cpu_seconds": round(time.process_time() - cpu, 3),
                "wall_seconds": round(time.monotonic() - wall, 3),
            }
            return {"loss": _test_loss(ask, problem), **took}
    except Exception as error:  # other people's packages: one table must not end a night's work
        traceback.print_exc(file=sys.stderr)
        return {"error": f"{type(error).__name__}: {error}"[:300]}


def _test_loss(ask: Predict, problem: Problem) -> float:
    said = ask(frame_of(problem, problem.test))
    if problem.target != "regression":
        said = said / np.maximum(said.sum(axis=1, keepdims=True), 1e-300)
    return loss_of_outputs(problem.target, said, problem.test.y, None)


# ------------------------------------------------------------------------------------- the table


def read(path: Path) -> list[dict[str, Any]]:
    """Read the outcomes that were written so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def compared(rows: Sequence[Mapping[str, Any]], reference: str) -> list[dict[str, Any]]:
    """Compare learners with one of them, on the tables that both have learned.

    Returns:
        For each learner by how much its log loss is behind the reference's (`behind`, in per cent,
        with `low` and `high`), the share of tables on which the reference is better (`won`), on how
        many tables (`tables`), and the median processor seconds of a fit.
    """
    frame, means = _frame(rows)
    listed = []
    for name in [n for n in LEARNERS if n in means.columns]:
        pair = means[[reference]].assign(other=means[name]).dropna()
        difference = 100.0 * (pair["other"] - pair[reference]).to_numpy()
        low, high = interval(difference)
        listed.append(
            {
                "learner": name,
                "behind": float(difference.mean()),
                "low": low,
                "high": high,
                "won": float((difference > 0.0).mean()),
                "tables": len(difference),
                "cpu_seconds": float(frame[frame["learner"] == name]["cpu_seconds"].median()),
            }
        )
    return listed


def _frame(rows: Sequence[Mapping[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the fits that did not fail, and log losses by table and learner, means of splits."""
    frame = pd.DataFrame([row for row in rows if "loss" in row])
    frame["log_loss"] = np.log(np.maximum(frame["loss"], 1e-6))
    return frame, frame.pivot_table(index="table", columns="learner", values="log_loss")


def gap_closed(
    rows: Sequence[Mapping[str, Any]], reference: str, floor: str, ceiling: str
) -> dict[str, float]:
    """Say what share of the way from one learner to another a third one goes.

    Args:
        rows: Outcomes.
        reference: The third one.
        floor: Where the way begins.
        ceiling: Where it ends.

    Returns:
        The way, in per cent of the loss (`gap`), and the share of it (`share`, with `low` and
        `high`): both from means over the tables (`tables`) that all three have learned.
    """
    means = _frame(rows)[1]
    known = means[[floor, reference, ceiling]].dropna().to_numpy()
    ways = np.stack([known[:, 0] - known[:, 1], known[:, 0] - known[:, 2]], axis=1)
    count = len(ways)
    drawn = stream(0, "tables").integers(count, size=(_NUM_RESAMPLES, count))
    sums = ways[drawn].sum(axis=1)
    low, high = np.percentile(sums[:, 0] / sums[:, 1], [2.5, 97.5])
    return {
        "gap": float(100.0 * ways[:, 1].mean()),
        "share": float(ways[:, 0].sum() / ways[:, 1].sum()),
        "low": float(low),
        "high": float(high),
        "tables": count,
    }


def interval(differences: Array) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean over tables `[T]`.

    Example:
        >>> interval(np.full(5, 2.0))
        (2.0, 2.0)
    """
    count = len(differences)
    drawn = stream(0, "tables").integers(count, size=(_NUM_RESAMPLES, count))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def report(config: Report) -> str:
    """Write `fit.json` and `fit.md` beside the outcomes, and return the text of the second."""
    rows = read(config.out / "fits.jsonl")
    learned = {row["learner"] for row in rows if "loss" in row}
    references = [n for n in (REFERENCE, _EQUAL_TIME, _FROM_DEFAULTS) if n in learned]
    tables = {name: compared(rows, name) for name in references}
    gaps = {
        floor: gap_closed(rows, REFERENCE, floor, _CEILING)
        for floor in _FLOORS
        if {floor, _CEILING, REFERENCE} <= learned
    }
    failed = [row for row in rows if "error" in row]
    lines = []
    for reference, listed in tables.items():
        lines += [
            f"### Against `{reference}`",
            "",
            "| learner | log loss behind, % | better on | tables | processor s |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {row['learner']} | {row['behind']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
                f" | {row['won']:.0%} | {row['tables']} | {row['cpu_seconds']:.1f} |"
                for row in listed
                if row["learner"] != reference
            ),
            "",
        ]
    lines += [
        f"`{REFERENCE}` goes {gap['share']:.0%} ({gap['low']:.0%} to {gap['high']:.0%}) of the way "
        f"from `{floor}` to `{_CEILING}`, which is {gap['gap']:.2f} % ({gap['tables']} tables).\n"
        for floor, gap in gaps.items()
    ]
    lines += [f"{len(failed)} of {len(rows)} fits failed." if failed else "No fit failed.", ""]
    text = "\n".join(lines)
    summary = {"compared": tables, "gaps": gaps, "failed": failed}
    (config.out / "fit.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    (config.out / "fit.md").write_text(text, encoding="utf-8")
    return text


Command = (
    Annotated[Run, tyro.conf.subcommand("run")] | Annotated[Report, tyro.conf.subcommand("report")]
)


def main(config: Command) -> None:
    if isinstance(config, Run):
        fit_all(config)
    else:
        print(report(config))


if __name__ == "__main__":
    main(tyro.cli(Command))
