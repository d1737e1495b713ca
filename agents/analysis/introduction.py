"""What a meta-training writes into TensorBoard before it begins: layout, table row, texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from agents import tags
from agents.analysis.hparams import training_row, write_end, write_start
from agents.analysis.layout import make_layout
from agents.config import TrainConfig


def introduce(path: Path, config: TrainConfig, hyperparameters: Sequence[str]) -> None:
    """Write layout, HParams row, configuration and command line of a new run.

    Args:
        path: The run folder.
        config: The resolved configuration.
        hyperparameters: Names of those that the agent turns.
    """
    with SummaryWriter(str(path)) as writer:
        writer.add_custom_scalars(make_layout(hyperparameters))
        write_start(writer, training_row(config) | {"hyperparameters": " ".join(hyperparameters)})
        data = config.to_json()
        settings = data.pop("settings")
        write_text(writer, "configuration", table(data | settings))
        command = path / "command.txt"
        if command.is_file():
            write_text(writer, "command", f"    {command.read_text().strip()}")


def conclude(path: Path) -> None:
    """Mark the run as finished in the table of runs."""
    with SummaryWriter(str(path)) as writer:
        write_end(writer)


def write_text(writer: SummaryWriter, name: str, text: str, step: int = 0) -> None:
    """Write Markdown onto TensorBoard's "Text" page."""
    writer.add_text(tags.TEXT.format(text=name), text, step)


def table(data: Mapping[str, Any]) -> str:
    """Write plain data as a Markdown table of two columns.

    Example:
        >>> print(table({"seed": 3}))
        | | |
        |---|---|
        | seed | 3 |
    """
    rows = [f"| {key} | {_word(value)} |" for key, value in data.items()]
    return "\n".join(["| | |", "|---|---|", *rows])


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text.replace("|", "\\|").replace("\n", " ")
