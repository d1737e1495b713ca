"""What runs write into TensorBoard beside curves: a row of the table, texts, pictures."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from .. import tags
from ..run_folder import read_commands
from .hparams import flattened, training_row, write_end, write_start
from .layout import make_layout
from .tables import facts_table


def introduce(path: Path, config: Mapping[str, Any], hyperparameters: Sequence[str]) -> None:
    """Write layout, HParams row, configuration and command line of a new run.

    Args:
        path: The run folder.
        config: The resolved configuration, plain data.
        hyperparameters: Names of those that the agent turns.
    """
    with SummaryWriter(str(path)) as writer:
        writer.add_custom_scalars(make_layout(hyperparameters))
        write_start(writer, training_row(config) | {"hyperparameters": " ".join(hyperparameters)})
        write_facts(writer, "configuration", flattened(config))
        commands = read_commands(path)
        if commands is not None:
            write_text(writer, "command", f"    {commands}")


def conclude(path: Path) -> None:
    """Mark the run as finished in the table of runs."""
    with SummaryWriter(str(path)) as writer:
        write_end(writer)


def write_text(writer: SummaryWriter, name: str, text: str, step: int = 0) -> None:
    """Write Markdown onto TensorBoard's "Text" page."""
    text = text.encode("utf-8", "backslashreplace").decode()  # paths need not be UTF-8
    writer.add_text(tags.TEXT.format(text=name), text, step)


def write_facts(writer: SummaryWriter, name: str, facts: Mapping[str, Any], step: int = 0) -> None:
    """Write plain data as a table onto TensorBoard's "Text" page."""
    write_text(writer, name, facts_table(facts).to_markdown(), step)


def write_picture(writer: SummaryWriter, tag: str, png: Path, step: int) -> None:
    """Write a PNG file as it is, and not drawn again."""
    content = png.read_bytes()
    width, height = struct.unpack(">II", content[16:24])  # where every PNG has them
    image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=content)
    file_writer: Any = writer.file_writer
    file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)
