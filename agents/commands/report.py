"""`hpo-control report`: a run, or a comparison, as one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hpo_env.arguments import is_folder
from hpo_env.errors import ConfigurationError, RunFolderError

from ..whole_files import write_atomically
from .dashboard import EVENTS, check_has_events
from .outputs import check_file

_RECORDS_FILE = "records.parquet"
_MAX_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Write the analysis of a run as one HTML file, to share, to print, to read on a phone.

    Of a comparison, its tables are written as Markdown too, beside the HTML file.

    Args:
        run: A run folder, the folder of an evaluation or of a comparison, or one that a logger of
            controlled runs wrote.
        out: The file to write; `report.html` in the run folder when not given.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    out: Path | None = None


def main(args: Sequence[str]) -> None:
    """Write the report, and say where it is.

    Raises:
        RunFolderError: There is nothing to report.
        ConfigurationError: The file cannot be written, or the comparison's table is damaged.
    """
    config = tyro.cli(ReportConfig, args=list(args), prog="hpo-control report")
    out = config.run / "report.html" if config.out is None else config.out
    if not is_folder(config.run):
        raise RunFolderError(f"no folder {config.run}")
    check_file(out)  # before the work, and not after
    is_comparison = (config.run / _RECORDS_FILE).is_file()
    texts = _comparison_report(config.run, out) if is_comparison else _run_report(config.run, out)
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
        print(f"report: {path}")


def _run_report(run: Path, out: Path) -> dict[Path, str]:
    _check_is_a_run(run)
    from ..reporting.runs import render_report

    return {out: render_report(run)}


def _check_is_a_run(folder: Path) -> None:
    """Check that there is one run to report, and not several beneath.

    Raises:
        RunFolderError: There is none; names those beneath.
    """
    check_has_events(folder)
    if any(folder.glob(EVENTS)) or (folder / "config.json").is_file():
        return
    owners = {path.parent for path in folder.rglob(EVENTS)}
    tops = sorted(path for path in owners if not owners.intersection(path.parents))
    few = ", ".join(str(path) for path in tops[:_MAX_NAMED])
    more = f" and {len(tops) - _MAX_NAMED} more" if len(tops) > _MAX_NAMED else ""
    raise RunFolderError(
        f"{folder} is no run, but holds some: report one of {few}{more}. All of them side by side: "
        f"hpo-control dashboard {folder}"
    )


def _comparison_report(folder: Path, out: Path) -> dict[Path, str]:
    from ..comparing.records import read_records
    from ..comparing.results import read_comparison
    from ..reporting.comparisons import comparison_markdown, render_comparison

    frame = read_records(folder / _RECORDS_FILE)
    return {
        out: render_comparison(frame, read_comparison(folder)),
        out.with_suffix(".md"): comparison_markdown(frame),
    }
