"""Checkpoints without pickle: one safetensors file holds all that the next segment depends on.

Segments start from fresh random streams and fresh episodes (see `meta_training`), so the state of a
run between two segments is small: what the learner says (`Learner.state`) and where the run stands.
Arrays go in as tensors, plain numbers as JSON in the file's metadata.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from hpo_env.errors import RunFolderError

from .learners.base import Learner, State
from .whole_files import write_atomically

_FORMAT = "hpo-control-checkpoint-1"
_NEWEST_KEPT = 2  # the newest could be the one that turns out to be unreadable


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a run stands between two segments.

    Args:
        segment: Segments finished.
        score: Meta-validation score after this segment; None before the first.
        best_segment: The segment whose score was the highest so far.
        best_score: That score; None before the first.
        seconds: Wall-clock time spent so far, over all resumptions.
    """

    segment: int
    score: float | None = None
    best_segment: int = 0
    best_score: float | None = None
    seconds: float = 0.0


def save_checkpoint(folder: Path, learner: Learner, position: Position) -> Path:
    """Write a checkpoint, whole or not at all, and drop those that are no longer needed.

    Args:
        folder: The run's folder of checkpoints.
        learner: Between two segments.
        position: Where the run stands.

    Returns:
        The file.
    """
    arrays: dict[str, NDArray[Any]] = {}
    numbers: dict[str, int | float] = {}
    for name, value in learner.state().items():
        if isinstance(value, np.ndarray):
            arrays[name] = np.ascontiguousarray(value).reshape(value.shape)
        else:
            numbers[name] = value
    metadata = {
        "format": _FORMAT,
        "position": json.dumps(asdict(position)),
        "numbers": json.dumps(numbers),
        "digest": _digest(arrays),
    }
    path = _path(folder, position.segment)
    write_atomically(path, safetensors.numpy.save(arrays, metadata))
    _prune(folder, keep={position.best_segment})
    return path


def load_checkpoint(path: Path, learner: Learner) -> Position:
    """Put a checkpoint into a learner built from the same configuration: the inverse of saving.

    Returns:
        Where the run stood.

    Raises:
        RunFolderError: The file is damaged, or was written by a learner of another shape.
    """
    position, state = read_checkpoint(path)
    try:
        learner.load(state)
    except (KeyError, RuntimeError, ValueError) as error:
        raise RunFolderError(f"{path} does not fit the run's configuration: {error}") from error
    return position


def newest_checkpoint(folder: Path) -> tuple[Path, Position]:
    """Find the newest checkpoint that can be read.

    Raises:
        RunFolderError: There is none.
    """
    problems = []
    for path in sorted(folder.glob("segment-*.safetensors"), reverse=True):
        try:
            return path, read_checkpoint(path)[0]
        except RunFolderError as error:
            problems.append(str(error))
    reason = "; ".join(problems) or "the run was stopped before its first one"
    raise RunFolderError(f"no usable checkpoint in {folder}: {reason}. Start a new run.")


def checkpoint_path(folder: Path, segment: int) -> Path:
    """Return the file that holds the checkpoint of a segment."""
    return _path(folder, segment)


def _path(folder: Path, segment: int) -> Path:
    return folder / f"segment-{segment:06d}.safetensors"


def _prune(folder: Path, keep: set[int]) -> None:
    paths = sorted(folder.glob("segment-*.safetensors"))
    for path in paths[:-_NEWEST_KEPT]:
        match = re.fullmatch(r"segment-(\d+)\.safetensors", path.name)
        if match is not None and int(match[1]) not in keep:
            path.unlink()
    for partial in folder.glob("*.partial"):  # left by a crash
        partial.unlink()


def read_checkpoint(path: Path) -> tuple[Position, State]:
    """Read where a run stood, and `Learner.state` there.

    Raises:
        RunFolderError: The file is damaged, or not there.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("format") != _FORMAT:
            raise ValueError(f"format {metadata.get('format')!r} in place of {_FORMAT!r}")
        if metadata["digest"] != _digest(arrays):
            raise ValueError("its content does not match its digest")
        position = Position(**json.loads(metadata["position"]))
        return position, {**arrays, **json.loads(metadata["numbers"])}
    except (OSError, KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from error


def _digest(arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
