"""Putting the shards' infos together so that they read as one environment's.

Gymnasium's convention: arrays over lanes, under `_key` a mask of the lanes where `key` means
something, and dictionaries of the same. A key that a shard does not have is masked out there.

Axes: `N` lanes, `n` lanes of a shard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Info = dict[str, Any]
Lanes = NDArray[np.int64]

_FINAL = ("final_obs", "_final_obs", "final_info", "_final_info")


def merge(parts: Sequence[tuple[Lanes, Info]], num_lanes: int) -> Info:
    """Merge infos of disjoint lanes into one over all `N`.

    Args:
        parts: For each shard its lanes `[n]` and its info.
        num_lanes: `N`.

    Example:
        >>> a = {"loss": np.array([1.0]), "_loss": np.array([True])}
        >>> merge([(np.array([1]), a), (np.array([0]), {})], 2)
        {'loss': array([0., 1.]), '_loss': array([False,  True])}
    """
    merged: Info = {}
    for lanes, info in parts:
        for key, value in info.items():
            if isinstance(value, dict):
                merged[key] = {}  # filled below, from all shards at once
                continue
            if key not in merged:
                merged[key] = _blank(value, num_lanes)
            merged[key][lanes] = value
    for key, value in merged.items():
        if isinstance(value, dict):
            merged[key] = merge([(lanes, info.get(key, {})) for lanes, info in parts], num_lanes)
    return merged


def put_lanes(target: Info, source: Mapping[str, Any], lanes: Lanes) -> None:
    """Overwrite the given lanes of one info over `N` lanes with those of another, in place."""
    for key, value in source.items():
        if isinstance(value, dict):
            put_lanes(target.setdefault(key, {}), value, lanes)
            continue
        if key not in target:
            target[key] = _blank(value, len(value))
        target[key][lanes] = value[lanes]


def without_final(info: Mapping[str, Any]) -> Info:
    """Drop what SAME_STEP says about episodes that have just ended."""
    return {key: value for key, value in info.items() if key not in _FINAL}


def with_final(info: Info, observations: NDArray[np.float32]) -> Info:
    """Add the keys of SAME_STEP to the info of lanes none of which has ended.

    An environment in which one lane ends reports the others in `final_info` too, masked out; a
    shard cannot know that a lane ended in another shard.
    """
    if "final_info" in info:
        return info
    none = np.zeros(len(observations), dtype=bool)
    return info | {
        "final_obs": observations,
        "_final_obs": none.copy(),
        "final_info": masked_out(info),
        "_final_info": none.copy(),
    }


def add_lost(
    info: Info,
    lost: NDArray[np.bool_],
    observations: NDArray[np.float32],
    last_info: Info,
    tasks: NDArray[Any],
) -> None:
    """Say of lanes that were lost with a worker what was last seen of them, in place.

    Args:
        info: Over all lanes; with the keys of SAME_STEP if that is the mode.
        lost: Which lanes `[N]`.
        observations: Last shown `[N, D]`.
        last_info: Last shown.
        tasks: Name of what each lane trained `[N]`.
    """
    lanes = np.flatnonzero(lost)
    closing = info
    if "final_info" in info:
        info["final_obs"][lanes] = observations[lanes]
        for mask in ("_final_obs", "_final_info"):
            info[mask][lanes] = True
        closing = info["final_info"]
    last = last_info | {
        "diverged": np.zeros(len(lost), dtype=bool),
        "task": tasks,
        "worker_lost": lost,
    }
    last |= {f"_{key}": lost for key in ("diverged", "task", "worker_lost")}
    put_lanes(closing, last, lanes)


def copy_info(info: Mapping[str, Any]) -> Info:
    """Copy an info with all its arrays."""
    return {k: copy_info(v) if isinstance(v, dict) else v.copy() for k, v in info.items()}


def masked_out(info: Mapping[str, Any]) -> Info:
    """Copy an info with every mask empty."""
    return {
        key: masked_out(value)
        if isinstance(value, dict)
        else np.zeros_like(value)
        if key.startswith("_")
        else value.copy()
        for key, value in info.items()
    }


def _blank(like: NDArray[Any], num_lanes: int) -> NDArray[Any]:
    shape = (num_lanes, *like.shape[1:])
    if like.dtype == object:
        return np.full(shape, None, dtype=object)
    return np.zeros(shape, like.dtype)
