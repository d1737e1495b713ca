"""`hpo-control dashboard`: TensorBoard over runs, with our layout, on this machine only."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from hpo_env.arguments import is_folder
from hpo_env.errors import ConfigurationError, RunFolderError

EVENTS = "events.out.tfevents.*"
"""Names of TensorBoard's files."""


@dataclass(frozen=True, kw_only=True)
class DashboardConfig:
    """Start TensorBoard over runs, and print its address; Ctrl-C ends it.

    Args:
        runs: Run folders, folders of run folders, or folders that a logger of controlled runs
            wrote; several lie side by side.
        port: Where it listens on this machine (127.0.0.1); 0 takes any free port.

    Raises:
        ConfigurationError: The port is out of range.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]] = (Path("logs"),)
    port: int = 6006

    def __post_init__(self) -> None:
        """Check the port."""
        if not 0 <= self.port < 65536:
            raise ConfigurationError(f"port must lie in [0, 65535]; got {self.port}")


def main(args: Sequence[str]) -> None:
    """Show the dashboard until it is interrupted."""
    config = tyro.cli(DashboardConfig, args=list(args), prog="hpo-control dashboard")
    for run in config.runs:
        check_has_events(run)
    with tempfile.TemporaryDirectory(prefix="hpo-control-") as scratch:
        address = launch(gather(config.runs, Path(scratch)), config.port)
        print(f"TensorBoard: {address}", flush=True)
        print(f"  the story:      {address}#custom_scalars")
        print(f"  table of runs:  {address}#hparams")
        print(f"  map of tasks:   {address}#projector")
        print("Ctrl-C ends it.", flush=True)
        threading.Event().wait()


def check_has_events(path: Path) -> None:
    """Check that there is something to look at.

    Raises:
        RunFolderError: There is not.
    """
    if not is_folder(path):
        raise RunFolderError(f"no folder {path}")
    if next(path.rglob(EVENTS), None) is None:
        raise RunFolderError(
            f"{path} holds no TensorBoard events yet; give a run folder of hpo-control train, or "
            "the folder of a TensorBoardLogger"
        )


def gather(runs: Sequence[Path], scratch: Path) -> Path:
    """Return the one folder that TensorBoard is to read.

    A single run is read where it is. Several are linked into `scratch`, each under its own name.
    Beside runs that have no layout of their own, such as a user's, one is written.

    Args:
        runs: Folders with events.
        scratch: An empty folder.
    """
    is_bare = not any(_has_layout(run) for run in runs)
    if len(runs) == 1 and not is_bare:
        return runs[0]
    for run in runs:
        path, number = run.resolve(), 2
        name = path.name
        while (scratch / name).exists():
            name, number = f"{path.name}-{number}", number + 1
        (scratch / name).symlink_to(path, target_is_directory=True)
    if is_bare:
        _write_layout(runs, scratch / "layout")
    return scratch


def _has_layout(run: Path) -> bool:
    written_by_us = ("config.json", "analysis.json")
    return any(next(run.rglob(name), None) is not None for name in written_by_us)


def _write_layout(runs: Sequence[Path], folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    from ..reporting.curves import hyperparameters_in, read_curves
    from ..reporting.layout import make_layout

    folders = {path.parent: None for run in runs for path in sorted(run.rglob(EVENTS))}
    names = {name: None for path in folders for name in hyperparameters_in(read_curves(path))}
    with SummaryWriter(str(folder)) as writer:
        writer.add_custom_scalars(make_layout(list(names)))


def launch(folder: Path, port: int) -> str:
    """Start TensorBoard in this process.

    Returns:
        Its address, with a slash at the end.

    Raises:
        ConfigurationError: The port is taken.
    """
    from tensorboard.program import TensorBoard, TensorBoardServerException

    board = TensorBoard()
    board.configure(
        argv=[
            "tensorboard",
            *("--logdir", str(folder)),
            *("--host", "127.0.0.1"),
            *("--port", str(port)),
            *("--samples_per_plugin", "images=100,scalars=10000"),
            *("--reload_multifile", "true"),  # a resumed run goes on in another file
        ]
    )
    try:
        return str(board.launch())
    except TensorBoardServerException as error:
        raise ConfigurationError(f"{error.msg}; --port 0 takes any free one") from error
