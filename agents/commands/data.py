"""`hpo-control data`: which data sets there are, what is in one, and whether a file can be used."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from hpo_env.datasets import (
    Kind,
    Reading,
    absolute,
    dataset_info,
    dataset_names,
    describe,
    load_dataset,
    open_table,
)
from hpo_env.datasets.column_summary import ColumnSummary, summarize_columns
from hpo_env.datasets.reading import ISO
from hpo_env.errors import DatasetError

_MAX_CLASSES_SHOWN = 12
_MAX_COLUMNS_SHOWN = 60
_MAX_NAME_WIDTH = 30


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

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]


@dataclass(frozen=True, kw_only=True)
class CheckFile:
    """Read a CSV, Parquet or NPZ file as a task would, and say what is in it or what is wrong.

    Args:
        file: The file.
        target: The column to predict.
        kind: What the target is; guessed from the values when not given.
        decimal: What stands before decimals, "." or ","; a point when not given.
        thousands: What groups digits by three, such as ",".
        missing: Texts that mean "not known", such as "?".
        units: Texts beside numbers that are left out, such as "$".
        dates: Columns of dates: NAME, or NAME=FORMAT where they are not like 2026-01-31.
        categories: Columns whose values are names although they look like numbers.
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    target: str
    kind: Kind | None = None
    decimal: str | None = None
    thousands: str | None = None
    missing: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    def reading(self) -> Reading:
        """Say how the file's text is to be read.

        Raises:
            ConfigurationError: An option is none of those that are allowed.
        """
        formats = [column.partition("=") for column in self.dates]
        return Reading.of(
            decimal=self.decimal,
            thousands=self.thousands,
            missing=self.missing,
            units=self.units,
            dates={name: form or ISO for name, _, form in formats},
            categories=self.categories,
        )


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
        _check(console, config)


def _check(console: Console, config: CheckFile) -> None:
    path, reading = absolute(config.file), config.reading()
    if path.is_file():
        progress = Console(stderr=True)
        _print(progress, f"reading {path} ({path.stat().st_size / 1e6:,.1f} MB) …")
    try:
        table = open_table(path, reading)
        dataset = table.dataset(target=config.target, kind=config.kind)
    except DatasetError as error:
        if not re.search(r"\b(missing|decimal|thousands|units|dates|categories|kind)=", str(error)):
            raise
        msg = f'{error}. (For this command options are written --missing "?" --kind regression'
        raise DatasetError(f"{msg} --dates day or day=%d.%m.%Y)") from error
    _show(console, describe(dataset))
    _print(console, "")
    _show_columns(console, list(summarize_columns(table, dataset, config.target)))
    given = {"dataset": str(config.file), "target": config.target, "kind": config.kind}
    options = {k: v for k, v in given.items() if v is not None} | reading.options()
    _print(console, f"{config.file} can be used: {' '.join(map(_word, options.items()))}")


def _show_columns(console: Console, columns: Sequence[ColumnSummary]) -> None:
    """Print a line a column; of very many the first, the target and those with a warning."""
    shown = [
        column
        for index, column in enumerate(columns)
        if index < _MAX_COLUMNS_SHOWN or index == len(columns) - 1 or column.warnings
    ]
    width = min(max(len(column.name) for column in shown), _MAX_NAME_WIDTH)
    for column in shown:
        missing = f"; {column.missing} missing" if column.missing else ""
        line = f"{column.name:<{width}}  {column.kind:<12}  {column.values}{missing}"
        _print(console, f"{line} → {column.becomes}")
        for warning in column.warnings:
            _print(console, f"{'':<{width}}  WARNING: {warning}")
    if len(shown) < len(columns):
        _print(console, f"… and {len(columns) - len(shown)} more columns")


def _word(option: tuple[str, Any]) -> str:
    """Write an option as a shell hands it over, NAME=VALUE."""
    name, value = option
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shlex.quote(f"{name}={text}")


def _print(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _list(console: Console, kind: Kind | None) -> None:
    splits = ("train", "validation", "test")
    infos = [dataset_info(name) for name in dataset_names(kind=kind)]
    infos.sort(key=lambda info: splits.index(info.split))
    width = max(len(info.name) for info in infos)
    for info in infos:
        line = f"{info.split:<10}  {info.name:<{width}}  {info.kind:<14}  {info.description}"
        _print(console, line)


def _show(console: Console, facts: Mapping[str, Any]) -> None:
    width = max(map(len, facts))
    for name, value in facts.items():
        line = f"{name.replace('_', ' '):<{width}}  {_written(value)}"
        _print(console, line)


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        shown = [f"{key}: {count}" for key, count in list(value.items())[:_MAX_CLASSES_SHOWN]]
        rest = len(value) - len(shown)
        return ", ".join(shown) + (f", and {rest} more" if rest else "")
    return "–" if value is None else str(value)
