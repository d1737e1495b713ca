"""Every architecture, beside the bare trainer and beside the loop that everybody writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rich.table import Table

from benchmarks.speed.goals import Goal
from benchmarks.speed.options import Options
from benchmarks.speed.timing import measure_in_turn, medians, ratio
from benchmarks.speed.workloads import (
    Workload,
    environment_steps,
    sequential_steps,
    trainer_steps,
)
from hpo_env.datasets import is_text, load_dataset
from hpo_env.errors import MissingExtraError
from hpo_env.networks.registry import architecture

_TABLE = "pitch_result"  # 3,402 rows of 28 features
_DATASETS = {
    "cnn_8x8": "digits",  # 1,797 images
    "cnn_28x28": "fashion_mnist",  # 4,000
    "resnet_8x8": "digits",
    "resnet_10x10": "photograph_temple_close",
}
_PHOTOGRAPH = "photograph_temple"  # 1,855 patches
_TEXT = "python_asyncio"
_WINDOWS = (16,)  # of a text, in a minibatch
_KNOBS = {"dropout": 0.1, "label_smoothing": 0.1, "gradient_clip": 1.0}
_BATCH_SIZES = (16, 32, 64, 128)  # 60 on average
_MLP = "MLP 64-64-64-10"
_ALL_KNOBS = "MLP 64-64-64-10, all knobs"
_LEAST_RATIOS = {
    _MLP: 20.0,
    _ALL_KNOBS: 16.0,
    "attention_8x32": 10.0,
    "cnn_8x8": 5.0,
    "cnn_28x28": 5.0,
    "resnet_12x12": 15.0,
    "resnet_10x10": 15.0,
    "resnet_8x8": 15.0,
    "gpt_16x1": 10.0,
    "gpt_32x1_narrow_start": 10.0,
    "gpt_16x2": 10.0,
    "gpt_32x2": 10.0,
    "gru_32": 10.0,
    "gru_24": 10.0,
    "gru_48": 10.0,
}


def workloads(options: Options) -> Iterator[tuple[str, Workload]]:
    """Name what is measured: the MLP of the goals (8x8 images in, 10 classes out), then all."""
    plain = Workload(
        model="mlp_64x2", dataset="digits", lanes=options.lanes, updates=options.updates
    )
    yield _MLP, plain
    yield (
        _ALL_KNOBS,
        replace(plain, values=_KNOBS, batch_sizes=_BATCH_SIZES, hyperparameters="all"),
    )
    for model in options.models:
        usual = {"tables": _TABLE, "images": _PHOTOGRAPH, "tokens": _TEXT}
        dataset = _DATASETS.get(model, usual[architecture(model).modality])
        own = replace(plain, model=model, dataset=dataset, lanes=options.model_lanes)
        yield model, replace(own, batch_sizes=_WINDOWS) if is_text(dataset) else own


def measure(options: Options) -> dict[str, Any]:
    """Measure every row."""
    rows = []
    for name, workload in workloads(options):
        try:
            if not is_text(workload.dataset):
                load_dataset(workload.dataset)
        except MissingExtraError as error:
            print(f"{name} is left out: {error}")
            continue
        rows.append({"name": name, "lanes": workload.lanes, **_measured(workload, options)})
    return {"updates": options.updates, "rows": rows}


def _measured(workload: Workload, options: Options) -> dict[str, float]:
    rates = measure_in_turn(
        {
            "environment": environment_steps(workload, options.engine),
            "trainer": trainer_steps(workload, options.engine),
            "sequential": sequential_steps(workload),
            "sequential_fused": sequential_steps(workload, fused=True),
        },
        repeats=options.repeats,
        seconds=options.seconds,
    )
    steps = medians(rates)
    return {
        **steps,
        "updates_per_second": steps["environment"] * options.updates,
        "share_of_trainer": ratio(rates, "environment", "trainer"),
        "ratio": ratio(rates, "environment", "sequential"),
        "ratio_fused": ratio(rates, "environment", "sequential_fused"),
    }


def tables(result: dict[str, Any]) -> list[Table]:
    """Show the speeds."""
    title = f"Environment against torch.optim loop, {result['updates']} updates a step, one thread"
    table = Table(title=title)
    table.add_column("model", overflow="fold")
    for heading in (
        "lanes",
        "updates/s",
        "env steps/s",
        "of bare trainer",
        "loop steps/s",
        "env / loop",
        "env / fused loop",
    ):
        table.add_column(heading, justify="right")
    for row in result["rows"]:
        table.add_row(
            row["name"],
            str(row["lanes"]),
            f"{row['updates_per_second']:,.0f}",
            f"{row['environment']:,.0f}",
            f"{row['share_of_trainer']:.0%}",
            f"{row['sequential']:,.0f}",
            f"{row['ratio']:.1f}×",
            f"{row['ratio_fused']:.1f}×",
        )
    return [table]


def goals(result: dict[str, Any]) -> list[Goal]:
    """List the goals of the ratios, and that of the environment over the trainer."""
    rows = {row["name"]: row for row in result["rows"]}
    listed = [
        Goal(what=f"{name}: env / torch.optim loop", measured=rows[name]["ratio"], bound=least)
        for name, least in _LEAST_RATIOS.items()
        if name in rows
    ]
    if _MLP in rows:
        share = rows[_MLP]["share_of_trainer"]
        what = f"{_MLP}: env steps over bare trainer"
        listed.append(Goal(what=what, measured=share, bound=0.9, unit="share"))
    return listed
