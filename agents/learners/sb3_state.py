"""All state of an agent of Stable-Baselines3 between two segments, as arrays and numbers.

Networks, optimisers, a few counters and, for off-policy agents, the replay buffer. Names in it are
`part/…`. Nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.save_util import recursive_getattr

from .base import State

_COUNTERS = ("num_timesteps", "_n_updates", "_n_calls", "_episode_num", "exploration_rate")
_BUFFER_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def read_state(model: BaseAlgorithm) -> State:
    """Copy the state of an agent; `write_state` is the inverse."""
    return {
        name: value.detach().cpu().numpy().copy() if isinstance(value, torch.Tensor) else value
        for name, value in _walk(model)
    }


def write_state(model: BaseAlgorithm, state: Mapping[str, Any]) -> None:
    """Put a state into an agent built alike.

    Raises:
        KeyError: A part is missing.
        RuntimeError: A part has another shape.
        ValueError: The same.
    """
    entries = _as_tensors(state)
    write_weights(model, state)
    for part in model._get_torch_save_params()[0]:
        target = recursive_getattr(model, part)
        if isinstance(target, torch.optim.Optimizer):
            _restore_optimizer(target, _of_part(part, entries))
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


def write_weights(model: BaseAlgorithm, state: Mapping[str, Any]) -> None:
    """Put the networks of a state, and nothing else, into an agent whose networks are alike.

    Raises:
        KeyError: A part is missing.
        RuntimeError: A part has another shape.
        ValueError: The same.
    """
    entries = _as_tensors(state)
    modules, variables = model._get_torch_save_params()
    for part in modules:
        target = recursive_getattr(model, part)
        if not isinstance(target, torch.optim.Optimizer):
            target.load_state_dict(_of_part(part, entries))
    for name in variables:
        with torch.no_grad():
            getattr(model, name).copy_(entries[f"variables/{name}"])


def _as_tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value
        for name, value in state.items()
    }


def _of_part(part: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is named `part/…`, without that prefix."""
    prefix = f"{part}/"
    return {n.removeprefix(prefix): v for n, v in entries.items() if n.startswith(prefix)}


def _walk(model: BaseAlgorithm) -> Iterator[tuple[str, torch.Tensor | int | float]]:
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
