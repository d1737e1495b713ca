"""Gymnasium's conventions for environments of many lanes: reset masks, and masks inside info.

Source: https://gymnasium.farama.org/api/vector/

Axis: `N` lanes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError


def reset_mask(
    options: Mapping[str, Any] | None, num_envs: int, *, is_first: bool
) -> NDArray[np.bool_]:
    """Read which lanes a reset is for, bool `[N]`; the caller's options are left as they are.

    Args:
        options: Those of `reset`.
        num_envs: `N`.
        is_first: Whether no lane was reset before.

    Raises:
        ConfigurationError: The mask does not fit, or the first reset leaves a lane out.
    """
    mask = None if options is None else options.get("reset_mask")
    if mask is None:
        return np.ones(num_envs, dtype=bool)
    mask = np.asarray(mask)
    if mask.shape != (num_envs,) or mask.dtype != bool or not mask.any():
        raise ConfigurationError(
            f"reset_mask must be a bool array of shape ({num_envs},) with at least one True; "
            f"got dtype {mask.dtype}, shape {mask.shape}"
        )
    if is_first and not mask.all():
        raise ConfigurationError("the first reset() must reset every lane")
    return mask


def checked_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """Return the mode that a name or a member stands for.

    Raises:
        ConfigurationError: There is none; lists those that there are.
    """
    try:
        return AutoresetMode(mode)
    except ValueError:
        allowed = ", ".join(repr(m.value) for m in AutoresetMode)
        raise ConfigurationError(
            f"autoreset_mode must be one of {allowed} or an AutoresetMode; got {mode!r}"
        ) from None


def masked(arrays: dict[str, NDArray[Any]], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Add to each array `[N]` of an info dictionary the lanes that it is about, under `_name`."""
    return arrays | {f"_{name}": mask.copy() for name in arrays}


def final_info_of(
    observations: NDArray[np.float32], info: dict[str, Any], ended: NDArray[np.bool_]
) -> dict[str, Any]:
    """Wrap what the ended lanes showed last in the keys that SAME_STEP prescribes."""
    return {
        "final_obs": observations,
        "_final_obs": ended.copy(),
        "final_info": _restrict(info, ended),
        "_final_info": ended.copy(),
    }


def _restrict(info: dict[str, Any], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Narrow every mask of an info dictionary to the lanes given."""
    narrowed = dict(info)
    for key, value in info.items():
        if isinstance(value, dict):
            narrowed[key] = _restrict(value, mask)
        elif key.startswith("_"):
            narrowed[key] = value & mask
    return narrowed
