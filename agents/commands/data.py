"""`hpo-control data`: which data sets there are, what is in one, and whether a file can be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from hpo_env.datasets import Kind, dataset_info, dataset_names, describe, load_dataset, load_file

_MAX_CLASSES_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class ListDatasets:
    """List the named data sets, with the side of meta-training that each lies on.

    Args:
        kind: Only classification or only regression; both when not given.
    """

    kind: Kind | None = None


@dataclass(frozen=True, kw_only=True)
class DescribeDataset:
    """Say what is in a named data set.

    Args:
        name: One of the names that `hpo-control data list` shows.
    """

    name: tyro.conf.Positional[str]


@dataclass(frozen=True, kw_only=True)
class CheckFile:
    """Read a CSV, Parquet or NPZ file as a task would, and say what is in it or what is wrong.

    Args:
        file: The file.
        target: The column to predict.
        kind: What the target is; guessed from the values when not given.
    """

    file: tyro.conf.Positional[Path]
    target: str
    kind: Kind | None = None


DataConfig = (
    Annotated[ListDatasets, tyro.conf.subcommand("list")]
    | Annotated[DescribeDataset, tyro.conf.subcommand("describe")]
    | Annotated[CheckFile, tyro.conf.subcommand("check")]
)


def main(args: Sequence[str]) -> None:
    """List, describe or check, as the arguments say."""
    config: Any = tyro.cli(DataConfig, args=list(args), prog="hpo-control data")
    run(config)


def run(config: ListDatasets | DescribeDataset | CheckFile) -> None:
    """Print what was asked for.

    Raises:
        UnknownNameError: No data set of that name; the nearest are suggested.
        DatasetError: The file cannot be used; says why, and what to change.
        MissingExtraError: A package that the data needs is not installed.
    """
    console = Console()
    if isinstance(config, ListDatasets):
        _list(console, config.kind)
    elif isinstance(config, DescribeDataset):
        info = dataset_info(config.name)
        facts = {
            "description": info.description,
            "source": info.source,
            "licence": info.licence,
            "split": info.split,
        }
        _show(console, facts | describe(load_dataset(config.name)))
    else:
        dataset = load_file(config.file, target=config.target, kind=config.kind)
        _show(console, describe(dataset))
        console.print(
            f"{config.file} can be used: dataset={config.file} target={config.target}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _list(console: Console, kind: Kind | None) -> None:
    splits = ("train", "validation", "test")
    infos = [dataset_info(name) for name in dataset_names(kind=kind)]
    infos.sort(key=lambda info: splits.index(info.split))
    width = max(len(info.name) for info in infos)
    for info in infos:
        line = f"{info.split:<10}  {info.name:<{width}}  {info.kind:<14}  {info.description}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _show(console: Console, facts: Mapping[str, Any]) -> None:
    width = max(map(len, facts))
    for name, value in facts.items():
        line = f"{name.replace('_', ' '):<{width}}  {_written(value)}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        shown = [f"{key}: {count}" for key, count in list(value.items())[:_MAX_CLASSES_SHOWN]]
        rest = len(value) - len(shown)
        return ", ".join(shown) + (f", and {rest} more" if rest else "")
    return "–" if value is None else str(value)
