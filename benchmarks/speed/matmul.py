"""How much of the processor's matrix-multiply rate the training of an MLP reaches.

Counted are the products of the layers, with the model's real inputs and outputs, of training and
validation; the time is everything that the trainer does: minibatches, activations, loss, optimiser,
telemetry. The rate beside it is the best that `torch.mm` reaches on square float32 matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from rich.table import Table

from benchmarks.speed.goals import Goal
from benchmarks.speed.options import Options
from benchmarks.speed.timing import measure_in_turn, medians, ratio
from benchmarks.speed.workloads import Workload, trainer_steps
from hpo_env.networks.mlp import MLP
from hpo_env.networks.registry import architecture
from hpo_env.tasks.supervised.data import prepare

_MODEL, _DATASET, _LANES = "mlp_128x2_relu", "pitch_result", 16
_BATCH_SIZES = (64, 128, 256)
_MATRIX_SIZES = (256, 512, 1024)
_GOAL = (128, 0.6)


def measure(options: Options) -> dict[str, Any]:
    """Measure the multiplication and the training of all minibatch sizes in turn."""
    rates = measure_in_turn(
        {f"mm_{size}": _multiply(size) for size in _MATRIX_SIZES}
        | {f"batch_{rows}": _train(rows, options) for rows in _BATCH_SIZES},
        repeats=options.repeats,
        seconds=options.seconds,
    )
    speeds = medians(rates)
    best = max((f"mm_{size}" for size in _MATRIX_SIZES), key=lambda name: speeds[name])
    rows = [
        {
            "batch_size": size,
            "gigaflops": speeds[f"batch_{size}"] / 1e9,
            "share": ratio(rates, f"batch_{size}", best),
        }
        for size in _BATCH_SIZES
    ]
    multiplication = {str(size): speeds[f"mm_{size}"] / 1e9 for size in _MATRIX_SIZES}
    return {"model": _MODEL, "torch_mm_gigaflops": multiplication, "rows": rows}


def _multiply(size: int) -> Callable[[], float]:
    a, b = torch.randn(2, size, size)
    out = torch.empty(size, size)

    def multiply() -> float:
        torch.mm(a, b, out=out)
        return 2.0 * size**3

    return multiply


def _train(batch_size: int, options: Options) -> Callable[[], float]:
    workload = Workload(
        model=_MODEL,
        dataset=_DATASET,
        lanes=_LANES,
        updates=options.updates,
        batch_sizes=(batch_size,),
    )
    step = trainer_steps(workload, options.engine)
    operations = step_operations(workload)
    return lambda: step() * operations


def step_operations(workload: Workload) -> float:
    """Count the additions and multiplications of a lane step's matrix products.

    A layer costs a product forwards and two backwards, the first layer one: nothing asks for the
    gradient of the inputs.
    """
    (task,) = workload.tasks(1)
    problem, sizes = prepare(task), architecture(workload.model)
    assert isinstance(sizes, MLP)
    widths = [problem.num_features, *[sizes.width] * sizes.depth, problem.num_outputs]
    layers = [2.0 * a * b for a, b in pairwise(widths)]
    (batch_size,) = workload.batch_sizes
    trained = workload.updates * batch_size * (3.0 * sum(layers) - layers[0])
    return trained + len(problem.validation) * sum(layers)


def tables(result: dict[str, Any]) -> list[Table]:
    """Show rates and shares."""
    rates = ", ".join(f"{n}: {g:.0f}" for n, g in result["torch_mm_gigaflops"].items())
    table = Table(title=f"{result['model']}, one thread", caption=f"torch.mm, GFLOP/s: {rates}")
    for heading in ("minibatch", "GFLOP/s", "share of torch.mm"):
        table.add_column(heading, justify="right")
    for row in result["rows"]:
        table.add_row(str(row["batch_size"]), f"{row['gigaflops']:.0f}", f"{row['share']:.0%}")
    return [table]


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return the goal of the share."""
    size, least = _GOAL
    (share,) = (row["share"] for row in result["rows"] if row["batch_size"] == size)
    what = f"MLP 128-128, minibatch {size}: share of torch.mm's rate"
    return [Goal(what=what, measured=share, bound=least, unit="share")]
