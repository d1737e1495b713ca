"""What a controller costs in a plain torch loop.

Two copies of one training, one with a controller and one without, take turns update by update, so
that whatever else the machine does falls on both. Times are processor times of this process. The
loop has no validation: how much of that is wanted is the user's choice.

    python benchmarks/controller_overhead.py --json logs/controller_overhead.json
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import nn

from hpo_env.controller import Controller

WIDTHS = (784, 800, 400, 100, 10)
"""A net of 990,000 weights."""

POLICY = "supervised"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the controller's overhead.

    Args:
        decisions: Decision intervals in the run.
        updates: Updates in an interval.
        batch: Rows of a minibatch.
        json: Where to write the numbers as well.
    """

    decisions: int = 20
    updates: int = 100
    batch: int = 128
    json: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured.

    Args:
        num_parameters: Weights of the model.
        update_ms: Median processor time of an update without the controller.
        overhead_percent: Median over intervals of the controlled interval's time over the other's.
        total_overhead_percent: The same of the whole run.
        decision_us: Median time of the policy, its check of the observation included.
        observed_decision_us: The same with observation, values and bookkeeping.
        import_seconds: Import of hpo_env and Controller in a fresh process; torch is not part.
    """

    num_parameters: int
    update_ms: float
    overhead_percent: float
    total_overhead_percent: float
    decision_us: float
    observed_decision_us: float
    import_seconds: float


def make_training(batch: int) -> tuple[torch.optim.Optimizer, Callable[[], torch.Tensor], int]:
    """Return an optimiser, a function that makes one update with it, and the number of weights."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for num_in, num_out in pairwise(WIDTHS):
        layers += [nn.Linear(num_in, num_out), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    x, y = torch.randn(1024, WIDTHS[0]), torch.randint(0, WIDTHS[-1], (1024,))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def update() -> torch.Tensor:
        rows = torch.randint(0, len(x), (batch,))
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss

    return optimizer, update, sum(p.numel() for p in model.parameters())


def measure_loop(options: Options) -> tuple[list[float], list[float], int]:
    """Return the time of each interval without and with a controller."""
    _, plain, num_parameters = make_training(options.batch)
    optimizer, controlled, _ = make_training(options.batch)
    for _ in range(5):
        plain()
        controlled()
    run = Controller.from_pretrained(POLICY).attach(
        optimizer,
        total_steps=options.decisions * options.updates,
        num_decisions=options.decisions,
    )
    without, with_controller = [], []
    for _ in range(options.decisions):
        times = [0.0, 0.0]
        for _ in range(options.updates):
            start = time.process_time()
            plain()
            middle = time.process_time()
            run.step(controlled())
            times[0] += middle - start
            times[1] += time.process_time() - middle
        without.append(times[0])
        with_controller.append(times[1])
    return without, with_controller, num_parameters


def median_us(function: Callable[[], object], repeats: int = 2000) -> float:
    """Return the median time of a call in microseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e6 * median(times)


def measure_import() -> float:
    """Return the median import time of five fresh processes."""
    code = (
        "import time; t = time.perf_counter(); import hpo_env; hpo_env.Controller; "
        "print(time.perf_counter() - t)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(5)
    ]
    return median(float(run.stdout) for run in runs)


def measure(options: Options) -> Result:
    """Measure everything."""
    torch.set_num_threads(1)
    without, with_controller, num_parameters = measure_loop(options)
    ratios = [b / a - 1.0 for a, b in zip(without, with_controller, strict=True)]
    controller = Controller.from_pretrained(POLICY)
    policy = controller.policy
    assert policy.familiarity is not None
    usual = policy.familiarity.mean[None]
    names = policy.space.names
    one_step = controller.drive(
        {name: lambda value: None for name in names},
        initial=dict(zip(names, policy.space.defaults.tolist(), strict=True)),
        total_steps=2500,
        num_decisions=2500,
    )
    return Result(
        num_parameters=num_parameters,
        update_ms=1e3 * median(without) / options.updates,
        overhead_percent=100.0 * median(ratios),
        total_overhead_percent=100.0 * (sum(with_controller) / sum(without) - 1.0),
        decision_us=median_us(lambda: policy.act(usual)),
        observed_decision_us=median_us(lambda: one_step.step(1.0)),
        import_seconds=measure_import(),
    )


def main(options: Options) -> None:
    result = measure(options)
    table = Table(title="Overhead of the controller", show_header=True)
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("limit", justify="right")
    training = f"{result.num_parameters:,} weights, {result.update_ms:.1f} ms an update"
    table.add_row(f"training time ({training}, {options.decisions} decisions)", "", "")
    table.add_row("  median over intervals", f"{result.overhead_percent:+.2f} %", "1 %")
    table.add_row("  whole run", f"{result.total_overhead_percent:+.2f} %", "1 %")
    table.add_row("one decision: the policy", f"{result.decision_us:.0f} µs", "50 µs")
    table.add_row("  with observation and writing", f"{result.observed_decision_us:.0f} µs", "")
    table.add_row("import of the controller", f"{result.import_seconds:.2f} s", "")
    Console().print(table)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Options))
