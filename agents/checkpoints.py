"""Checkpoints without pickle: one safetensors file holds all that the next segment depends on.

Segments start from fresh random streams and fresh episodes (see `meta_training`), so the state of a
run between two segments is small: networks, optimisers, a few counters and, for off-policy agents,
the replay buffer. Tensors go in as tensors, plain numbers as JSON in the file's metadata.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.save_util import recursive_getattr

from agents.run_folder import write_atomically
from hpo_env.errors import RunFolderError

_FORMAT = "hpo-control-checkpoint-1"
_NEWEST_KEPT = 2  # the newest could be the one that turns out to be unreadable
_COUNTERS = ("num_timesteps", "_n_updates", "_n_calls", "_episode_num", "exploration_rate")
_BUFFER_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


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


def save_checkpoint(folder: Path, model: BaseAlgorithm, position: Position) -> Path:
    """Write a checkpoint, whole or not at all, and drop those that are no longer needed.

    Args:
        folder: The run's folder of checkpoints.
        model: The agent between two segments.
        position: Where the run stands.

    Returns:
        The file.
    """
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, int | float] = {}
    for name, value in _state(model):
        if isinstance(value, torch.Tensor):
            tensors[name] = value.detach().cpu().clone().contiguous()  # no two may share memory
        else:
            numbers[name] = value
    metadata = {
        "format": _FORMAT,
        "position": json.dumps(asdict(position)),
        "numbers": json.dumps(numbers),
        "digest": _digest(tensors),
    }
    path = _path(folder, position.segment)
    write_atomically(path, safetensors.torch.save(tensors, metadata))
    _prune(folder, keep={position.best_segment})
    return path


def load_checkpoint(path: Path, model: BaseAlgorithm) -> Position:
    """Put a checkpoint into an agent built from the same configuration: the inverse of saving.

    Returns:
        Where the run stood.

    Raises:
        RunFolderError: The file is damaged, or was written by an agent of another shape.
    """
    position, tensors, numbers = _read(path)
    try:
        _restore(model, tensors, numbers)
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
            return path, _read(path)[0]
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


def _read(path: Path) -> tuple[Position, dict[str, torch.Tensor], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("format") != _FORMAT:
            raise ValueError(f"format {metadata.get('format')!r} in place of {_FORMAT!r}")
        if metadata["digest"] != _digest(tensors):
            raise ValueError("its content does not match its digest")
        position = Position(**json.loads(metadata["position"]))
        return position, tensors, json.loads(metadata["numbers"])
    except (OSError, KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from error


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def _state(model: BaseAlgorithm) -> Iterator[tuple[str, torch.Tensor | int | float]]:
    """Walk through all state, named `part/…`."""
    modules, variables = model._get_torch_save_params()
    for part in modules:
        state = recursive_getattr(model, part).state_dict()
        if "param_groups" not in state:
            yield from ((f"{part}/{name}", tensor) for name, tensor in state.items())
            continue
        for index, entries in state["state"].items():
            yield from ((f"{part}/{index}/{name}", value) for name, value in entries.items())
        for index, group in enumerate(state["param_groups"]):
            yield f"{part}/group{index}/lr", float(group["lr"])
    for name in variables:
        yield f"variables/{name}", getattr(model, name)
    for name in _COUNTERS:
        if hasattr(model, name):
            yield f"counters/{name}", getattr(model, name)
    buffer = getattr(model, "replay_buffer", None)
    if isinstance(buffer, ReplayBuffer):
        rows = buffer.buffer_size if buffer.full else buffer.pos
        for name in _BUFFER_ARRAYS:
            yield f"replay/{name}", torch.from_numpy(getattr(buffer, name)[:rows])
        yield "replay/pos", buffer.pos
        yield "replay/full", int(buffer.full)


def _restore(
    model: BaseAlgorithm, tensors: dict[str, torch.Tensor], numbers: dict[str, Any]
) -> None:
    modules, variables = model._get_torch_save_params()
    entries: dict[str, Any] = {**tensors, **numbers}
    for part in modules:
        target = recursive_getattr(model, part)
        mine = {
            n.removeprefix(f"{part}/"): v for n, v in entries.items() if n.startswith(f"{part}/")
        }
        if isinstance(target, torch.optim.Optimizer):
            _restore_optimizer(target, mine)
        else:
            target.load_state_dict(mine)
    for name in variables:
        with torch.no_grad():
            getattr(model, name).copy_(entries[f"variables/{name}"])
    for name in _COUNTERS:
        if hasattr(model, name):
            setattr(model, name, entries[f"counters/{name}"])
    buffer = getattr(model, "replay_buffer", None)
    if isinstance(buffer, ReplayBuffer):
        for name in _BUFFER_ARRAYS:
            rows = entries[f"replay/{name}"].numpy()
            getattr(buffer, name)[: len(rows)] = rows
        buffer.pos = entries["replay/pos"]
        buffer.full = bool(entries["replay/full"])


def _restore_optimizer(optimizer: torch.optim.Optimizer, entries: dict[str, Any]) -> None:
    state: dict[int, dict[str, Any]] = {}
    groups = optimizer.state_dict()["param_groups"]  # the rest of a group comes from the config
    for name, value in entries.items():
        index, _, field = name.partition("/")
        if index.startswith("group"):
            groups[int(index.removeprefix("group"))][field] = value
        else:
            state.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({"state": state, "param_groups": groups})
