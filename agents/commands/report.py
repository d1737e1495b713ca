"""`hpo-control report`: the analysis of a run as one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from agents.commands.dashboard import check_has_events
from agents.run_folder import write_atomically
from hpo_env.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Write the analysis of a run as one HTML file, to share, to print, to read on a phone.

    Args:
        run: A run folder, the folder of an evaluation, or one that a logger of controlled runs
            wrote.
        out: The file to write; `report.html` in the run folder when not given.
    """

    run: tyro.conf.Positional[Path]
    out: Path | None = None


def main(args: Sequence[str]) -> None:
    """Write the report, and say where it is.

    Raises:
        RunFolderError: There is nothing to report.
        ConfigurationError: The file cannot be written.
    """
    config = tyro.cli(ReportConfig, args=list(args), prog="hpo-control report")
    check_has_events(config.run)
    from agents.analysis.html_report import render_report

    out = config.run / "report.html" if config.out is None else config.out
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, render_report(config.run).encode())
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}") from error
    print(f"report: {out}")
