"""What looking costs: meta-training with and without TensorBoard, and the size of the events.

The same run is trained in pairs, once as always and once with nothing written, in turn. CPU time of
the whole process is compared beside wall time, because other programs on the machine move the
latter; the median of the pairs' ratios is reported. The family `quadratic` is the worst case: its
inner training costs next to nothing, so that logging weighs most.

The closing analysis is measured apart: it is done once, however long the run was.

    python benchmarks/logging_cost.py --json logs/logging_cost.json
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import tyro
from rich.console import Console
from rich.table import Table

from agents import meta_training
from agents.config import PRESETS, TrainConfig
from agents.learners.stepping import LaneStep

LARGEST_SHARE = 0.03
"""What logging may cost."""
MOST_MEGABYTES = 50.0
"""What the events of a standard run may take."""

_EVENTS = "events.out.tfevents.*"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure what logging costs.

    Args:
        family: The task family.
        steps: Environment steps of each run.
        pairs: Runs with and without logging.
        json: Where to write the numbers as well.
    """

    family: str = "quadratic"
    steps: int = 100_000
    pairs: int = 5
    json: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """What a run took."""

    wall: float
    cpu: float


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What was measured.

    Args:
        with_logging: Median of the runs as always.
        without_logging: Median of the runs that write nothing.
        wall_share: Median of the pairs' extra wall time, as a share.
        cpu_share: The same of CPU time.
        closing_seconds: Of the closing analysis, once a run.
        megabytes: Events of the run, its closing analysis included.
        standard_megabytes: The same extrapolated to the preset `standard`, by its points.
    """

    with_logging: Seconds
    without_logging: Seconds
    wall_share: float
    cpu_share: float
    closing_seconds: float
    megabytes: float
    standard_megabytes: float


class _Silent:
    """Stands in for `LaneMetrics`, and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def record(self, tag: str, value: float) -> None:
        pass

    def stepped(self, step: LaneStep, num_steps: int) -> None:
        pass

    def rolled_out(self, num_steps: int) -> None:
        pass

    def write(self) -> None:
        pass

    def write_histograms(self, third: str) -> None:
        pass


class _NoLog:
    """Stands in for `TrainingLog`, and writes nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def record(self, tag: str, value: float) -> None:
        pass

    def dump(self, num_steps: int) -> None:
        pass

    def close(self) -> None:
        pass


@contextmanager
def silence() -> Iterator[None]:
    """Train without writing anything for TensorBoard."""
    with ExitStack() as stack:
        for name, stand_in in {
            "LaneMetrics": _Silent,
            "introduce": lambda *_: None,
            "conclude": lambda *_: None,
            "TrainingLog": _NoLog,
        }.items():
            stack.enter_context(patch.object(meta_training, name, stand_in))
        yield


def train(options: Options, run_dir: Path, *, closing: bool) -> tuple[Seconds, Path]:
    """Train once and return what it took, and the run folder."""
    config = TrainConfig(
        family=options.family,
        preset="quick",
        steps=options.steps,
        run_dir=run_dir,
        progress="quiet",
    )
    start_from = 0 if closing else 2**62
    wall, cpu = time.perf_counter(), time.process_time()
    with patch.object(meta_training, "_ANALYSED_FROM", start_from):
        folder = meta_training.meta_train(config)
    return Seconds(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu), folder


def measure(options: Options) -> Cost:
    """Train in pairs and compare."""
    loud: list[Seconds] = []
    quiet: list[Seconds] = []
    with tempfile.TemporaryDirectory() as scratch:
        train(options, Path(scratch) / "warm-up", closing=True)
        for pair in range(options.pairs):
            order = (True, False) if pair % 2 == 0 else (False, True)
            for is_loud in order:
                run_dir = Path(scratch) / f"{pair}-{is_loud}"
                with ExitStack() as stack:
                    if not is_loud:
                        stack.enter_context(silence())
                    seconds, folder = train(options, run_dir, closing=False)
                (loud if is_loud else quiet).append(seconds)
                if is_loud:
                    curves, points = _size(folder), _points(folder)
                shutil.rmtree(run_dir)
        whole, folder = train(options, Path(scratch) / "closing", closing=True)
        megabytes = _size(folder)
    with_logging, without_logging = _median(loud), _median(quiet)
    pairs = list(zip(loud, quiet, strict=True))
    standard_points = points * PRESETS["standard"]["steps"] / options.steps
    return Cost(
        with_logging=with_logging,
        without_logging=without_logging,
        wall_share=median(a.wall / b.wall - 1.0 for a, b in pairs),
        cpu_share=median(a.cpu / b.cpu - 1.0 for a, b in pairs),
        closing_seconds=max(whole.wall - with_logging.wall, 0.0),
        megabytes=megabytes,
        standard_megabytes=megabytes + curves * (standard_points / points - 1.0),
    )


def _median(runs: list[Seconds]) -> Seconds:
    return Seconds(wall=median(run.wall for run in runs), cpu=median(run.cpu for run in runs))


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob(_EVENTS)) / 1e6


def _points(folder: Path) -> int:
    from agents import tags
    from agents.reporting.curves import read_curves

    return len(read_curves(folder).scalars[tags.STEPS_PER_SECOND].steps)


def main() -> None:
    options = tyro.cli(Options, prog="python benchmarks/logging_cost.py")
    cost = measure(options)
    table = Table(title=f"{options.family}, {options.steps:,} steps, {options.pairs} pairs")
    for heading in ("", "measured", "allowed"):
        table.add_column(heading, justify="right" if heading else "left")
    share = f"{100 * LARGEST_SHARE:.0f} %"
    table.add_row("with logging", f"{cost.with_logging.cpu:.2f} s CPU", "")
    table.add_row("without", f"{cost.without_logging.cpu:.2f} s CPU", "")
    table.add_row("logging, CPU time", f"{100 * cost.cpu_share:.1f} %", share)
    table.add_row("logging, wall time", f"{100 * cost.wall_share:.1f} %", share)
    table.add_row("closing analysis, once a run", f"{cost.closing_seconds:.1f} s", "")
    table.add_row("events of this run", f"{cost.megabytes:.2f} MB", "")
    words = f"{cost.standard_megabytes:.2f} MB"
    table.add_row("events of a standard run, extrapolated", words, f"{MOST_MEGABYTES:.0f} MB")
    Console().print(table)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        data = {"options": asdict(options) | {"json": None}, "cost": asdict(cost)}
        options.json.write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
