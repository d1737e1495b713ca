"""The controller on trainings of the kinds that people run, beside schedules that are tuned.

    python benchmarks/real_loops.py --csv real_loops.csv
    python benchmarks/real_loops.py --csv real_loops.csv --part test --seeds 3

Plain PyTorch; text of the standard library, digits and photographs that scikit-learn ships,
characters in fonts that matplotlib ships, tables.
The rows of a run are written as it ends, and those that are in the file are not run again: a
benchmark that was stopped goes on. The opponent of a single run is the best of four cosines, each a
run of its own, and beside it what a sweep gives its user: the one of the lowest validation loss.
With `--rescue` badly set optimisers are steered beside a well set one, see
`benchmarks/loops/rescue.py`.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from benchmarks.loops import rescue as rescuing
from benchmarks.loops.gaps import summary
from benchmarks.loops.opponents import OPPONENTS
from benchmarks.loops.running import Outcome, Setting, train
from benchmarks.loops.tables import markdown
from benchmarks.loops.workloads import WORKLOADS

RATES_OF_SCHEDULES = (3e-4, 1e-3, 3e-3, 1e-2)
RATES_OF_CONTROLLERS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
Pair = tuple[str, float]
"""An opponent and its rate."""


def main(
    *,
    csv_path: Annotated[Path, tyro.conf.arg(name="csv")],
    part: Literal["validation", "test"] = "validation",
    workloads: tuple[str, ...] = (),
    schedules: tuple[str, ...] = ("cosine",),
    controllers: tuple[str, ...] = ("controller",),
    schedule_rates: tuple[float, ...] = RATES_OF_SCHEDULES,
    rates: tuple[float, ...] = RATES_OF_CONTROLLERS,
    optimizers: tuple[str, ...] = ("adamw",),
    seeds: int = 1,
    scale: float = 1.0,
    rescue: bool = False,
    markdown_path: Annotated[Path | None, tyro.conf.arg(name="markdown")] = None,
) -> None:
    """Run what is missing in the file, and show the table.

    Args:
        csv_path: Where the rows are, and where they are added.
        part: Which workloads, where none are named.
        workloads: Names of workloads.
        schedules: Opponents that are given each of `schedule_rates`, or have a rate of their own.
        controllers: Opponents that are given each of `rates`; a policy's folder is one.
        schedule_rates: Highest rates.
        rates: First rates.
        optimizers: Names of optimisers.
        seeds: So many, from 0.
        scale: Factor on the number of updates.
        rescue: Run the rescue protocol in place of the rest, with its own optimisers and rates.
        markdown_path: Where to write the table.
    """
    torch.set_num_threads(1)  # two threads crawl as soon as another process is busy
    names = workloads or tuple(n for n, w in WORKLOADS.items() if w.is_test == (part == "test"))
    if rescue:
        asked = rescuing.settings(names, controllers, schedule_rates, seeds=seeds, scale=scale)
    else:
        pairs = [*_with_rates(schedules, schedule_rates), *product(controllers, rates)]
        asked = _every(product(optimizers, range(seeds), names, pairs), scale)
    done = dict(read(csv_path))
    for setting in asked:
        if setting not in done:
            done[setting] = train(setting)
            write(csv_path, setting, done[setting])
            of = f"{setting.workload} {setting.opponent} {setting.optimizer} {setting.rate:g}"
            print(f"{of} {done[setting].test:.4f}", flush=True)
    alike = {s: outcome for s, outcome in done.items() if s.scale == scale}
    if rescue:
        table = rescuing.markdown(alike, names, controllers)
    else:
        table = markdown(alike, names) + "".join(
            f"\n{summary(alike, c, names)}" for c in controllers
        )
    print(table)
    if markdown_path is not None:
        markdown_path.write_text(table)


def _with_rates(opponents: tuple[str, ...], rates: tuple[float, ...]) -> Iterator[Pair]:
    for name in opponents:
        own = OPPONENTS[name].own_rate
        yield from product([name], rates if own is None else (own,))


def _every(asked: Iterable[tuple[str, int, str, Pair]], scale: float) -> Iterator[Setting]:
    for optimizer, seed, workload, (opponent, rate) in asked:
        yield Setting(
            workload=workload,
            opponent=opponent,
            optimizer=optimizer,
            rate=rate,
            seed=seed,
            scale=scale,
        )


def read(path: Path) -> Iterator[tuple[Setting, Outcome]]:
    """Read the whole rows of a file that `write` made; none where there is no file."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    for row in csv.DictReader(line for line in lines if line.endswith("\n")):
        texts = {name: row[name] for name in ("workload", "opponent", "optimizer")}
        setting = Setting(
            **texts, rate=float(row["rate"]), seed=int(row["seed"]), scale=float(row["scale"])
        )
        yield setting, Outcome(**{f.name: float(row[f.name]) for f in fields(Outcome)})


def write(path: Path, setting: Setting, outcome: Outcome) -> None:
    """Add one row, in place of one that was begun when the benchmark was killed."""
    row = asdict(setting) | asdict(outcome)
    is_new = not path.exists()
    if not is_new:
        whole = path.read_bytes()
        os.truncate(path, whole.rfind(b"\n") + 1)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    tyro.cli(main)
