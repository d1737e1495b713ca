"""What a tracker is, and the registry of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from hpo_env.addresses import load_address
from hpo_env.errors import MissingExtraError, unknown_name

PROJECT = "hpo-control"
"""Project, or experiment, that runs are put in, unless the tracker's own variables say another."""

_CLASSES = {"wandb": "wandb_tracker:WandbTracker", "mlflow": "mlflow_tracker:MlflowTracker"}

TRACKERS: dict[str, str] = {name: f"{__package__}.{place}" for name, place in _CLASSES.items()}
"""Name of each tracker, and where it is; the name is that of its package and of its extra, too."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How often values fell into bins.

    Args:
        edges: `B + 1` of them, rising.
        counts: `B` of them.
    """

    edges: Sequence[float]
    counts: Sequence[float]


class Tracker(ABC):
    """One run in a tracker.

    Args:
        name: Of the run.
        config: Its settings, plain data.
        folder: Where the tracker may write files of its own.
        identity: Of a run to go on with; None for a new one.
    """

    @abstractmethod
    def __init__(
        self, name: str, config: Mapping[str, Any], folder: Path, identity: str | None
    ) -> None: ...

    @property
    @abstractmethod
    def identity(self) -> str:
        """By which the run is found again."""

    @abstractmethod
    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """Log numbers by tag."""

    @abstractmethod
    def log_picture(self, tag: str, png: bytes, step: int) -> None:
        """Log a picture."""

    @abstractmethod
    def log_text(self, tag: str, markdown: str, step: int) -> None:
        """Log a text."""

    @abstractmethod
    def log_histogram(self, tag: str, histogram: Histogram, step: int) -> None:
        """Log a histogram."""

    @abstractmethod
    def close(self, *, is_complete: bool) -> None:
        """Hand over what is left; say whether the run came to its end."""


def check_tracker(name: str | None) -> None:
    """Check a name, and that its package is installed, before anything expensive begins.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
        MissingExtraError: The package is not installed.
    """
    if name is None:
        return
    if name not in TRACKERS:
        raise unknown_name("tracker", name, TRACKERS)
    require(name)


def require(name: str) -> Any:
    """Import a tracker's package.

    Raises:
        MissingExtraError: It, or something it needs, is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"--tracker {name} needs the package {name!r}, which cannot be imported ({error}); "
            f"install it with: pip install 'hpo-control[{name}]'"
        ) from error


def start_tracker(
    kind: str, name: str, config: Mapping[str, Any], folder: Path, identity: str | None = None
) -> Tracker:
    """Start a run in a tracker, or go on with one; arguments are those of `Tracker`."""
    found: type[Tracker] = load_address("tracker", TRACKERS[kind])
    return found(name, config, folder, identity)
