"""What a saved run is: checked before anything of it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo_env.errors import ConfigurationError

STATE_VERSION = 1
_NEEDED = (
    *("plan", "num_steps", "interval", "end", "decider", "effective", "last_losses"),
    *("decisions", "schedule", "measurement"),
)
"""Entries that states of all versions of hpo-control have."""


def check_saved(state: Any) -> Mapping[str, Any]:
    """Return the state of a run, after a look at whether it is one.

    Args:
        state: What somebody gave as `state`.

    Raises:
        ConfigurationError: It is no such thing, of another version, or damaged.
    """
    if not isinstance(state, Mapping):
        raise ConfigurationError(
            f"state must be what run.state_dict() has returned; got {state!r:.60}"
        )
    if state.get("version") != STATE_VERSION:
        raise ConfigurationError(
            f"the saved run has version {state.get('version')}, this version of hpo-control "
            f"reads {STATE_VERSION}"
            + ("" if state else ": the state is empty. Leave it out to start anew")
        )
    missing = [name for name in _NEEDED if name not in state]
    if missing:
        raise ConfigurationError(
            f"the saved run is damaged: {missing} are missing. Save run.state_dict() as it is, or "
            "leave state out to start anew"
        )
    return state
