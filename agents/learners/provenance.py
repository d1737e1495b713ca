"""Where a policy comes from, as plain data to keep with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from hpo_env import __version__


def describe(
    agent: str, num_steps: int, packages: Sequence[str], metadata: Mapping[str, object]
) -> dict[str, Any]:
    """Describe a policy: who made it, with what and when, and all that the caller adds.

    Args:
        agent: The learning algorithm.
        num_steps: Environment steps that it has learned from.
        packages: Whose versions are noted.
        metadata: The caller's own entries, of any kind.
    """
    own: dict[str, Any] = plain(dict(metadata))
    return {
        "agent": agent,
        "env_steps": num_steps,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"hpo-control": __version__} | {name: version(name) for name in packages},
    } | own


def plain(value: Any) -> Any:
    """Turn metadata into plain JSON data; a long training must not fail on a NaN or a path."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)
