"""From a learner to a policy file: what was written is read again and compared with the learner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import PolicyFileError
from hpo_env.hyperparameters import LEVELS
from hpo_env.policy import Policy
from hpo_env.policy_file import load, save
from hpo_env.seeding import stream

Array = NDArray[np.float64]

Moves = Callable[[NDArray[np.float32], Any, NDArray[np.bool_]], tuple[Array, Any]]
"""`Learner.moves`: observations `[N, D]`, memory and starts to moves `[N, H]` and memory."""

_NUM_CHECKED = 64
_NUM_STEPS = 3  # of each: a memory shows from the second on
_TOLERANCE = 1e-4  # float32 in torch and in numpy; two outputs this close are a tie


def export_policy(policy: Policy, moves: Moves, folder: Path) -> Path:
    """Write a policy as a policy file, and check it against the learner that it comes from.

    Args:
        policy: `Learner.policy`.
        moves: `Learner.moves` of the same learner.
        folder: Where `policy.safetensors` and `controller.json` go.

    Returns:
        The folder.

    Raises:
        PolicyFileError: The folder cannot be written, or the file does not act as the learner does.
    """
    save(policy, folder)
    _check_same_moves(load(folder), moves, folder)
    return folder


def _check_same_moves(policy: Policy, moves: Moves, folder: Path) -> None:
    rng = stream(0, "export")
    state, theirs = policy.start(_NUM_CHECKED), None
    same = np.ones(_NUM_CHECKED, dtype=bool)
    for step in range(_NUM_STEPS):
        observations = rng.uniform(-1.0, 1.0, (_NUM_CHECKED, len(policy.fields))).astype(np.float32)
        expected, theirs = moves(observations, theirs, np.full(_NUM_CHECKED, step == 0))
        outputs, _ = policy.outputs_after(observations, state)
        found, _, state = policy.step(observations, state)
        agrees = (np.abs(found - expected) <= _TOLERANCE).all(axis=1)
        same &= agrees | _is_tie(policy, outputs)
    if not same.all():
        raise PolicyFileError(
            f"{folder}: the exported policy acts otherwise than its agent on "
            f"{int((~same).sum())} of {_NUM_CHECKED} random observations; it must not be used. "
            "Is the policy class customised?"
        )


def _is_tie(policy: Policy, outputs: Array) -> NDArray[np.bool_]:
    """Say where `[N]` the best of some choices is so by rounding only, given outputs `[N, O]`."""
    if policy.head not in ("joint_choice", "likeliest"):
        return np.zeros(len(outputs), dtype=bool)
    width = outputs.shape[1] if policy.head == "joint_choice" else len(LEVELS)
    best = np.sort(outputs.reshape(len(outputs), -1, width), axis=2)
    tolerance = _TOLERANCE * np.maximum(1.0, np.abs(best[:, :, -1]))
    return np.asarray((best[:, :, -1] - best[:, :, -2] <= tolerance).any(axis=1))
