"""Golden vectors of a policy file: what the policy answers to examples, computed again at a load.

A policy that was cut short, doctored, or is read by code that no longer does the same, does not
reproduce them.

Axes: `T` examples, `D` observation fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import PolicyFileError
from hpo_env.policy import Policy
from hpo_env.policy_entries import FIX, entry, refuse
from hpo_env.seeding import stream

_NUM_GOLDEN = 8
_GOLDEN_TOLERANCE = 1e-5  # float32 sums in another order differ by about 1e-7


def golden_vectors(policy: Policy) -> dict[str, list[Any]]:
    """Return observations that are drawn once and for all, and what the policy makes of them."""
    drawn = stream(0, "golden").uniform(-1.0, 1.0, (_NUM_GOLDEN, len(policy.fields)))
    observations = drawn.astype(np.float32)
    outputs = outputs_in_turn(policy, observations)
    golden = {
        "observations": observations.tolist(),
        "outputs": outputs.tolist(),
        "moves": policy.moves_of(outputs).tolist(),
    }
    if policy.familiarity is not None:
        # Outputs stay the network's own, and distances check the rest: a fault is told apart.
        golden["distances"] = policy.familiarity.distance(observations).tolist()
    return golden


def check_golden(
    path: Path, document: Mapping[str, Any], policy: Policy, columns: Sequence[int]
) -> None:
    """Compute the stored examples again, as the saved policy read them: in its own fields.

    Args:
        path: Of the file that they stand in, for errors.
        document: What it holds.
        policy: As it was read.
        columns: Where the fields that the policy knows stand among today's.

    Raises:
        PolicyFileError: They are not there, or what they say is not what the policy does.
    """
    golden = entry(path, document, "golden", dict)
    stored = _array(path, golden, "observations", (_NUM_GOLDEN, len(columns)))
    observations = np.zeros((_NUM_GOLDEN, len(policy.fields)), dtype=np.float32)
    observations[:, columns] = stored
    outputs = outputs_in_turn(policy, observations)
    expected = _array(path, golden, "outputs", outputs.shape)
    _check_close(path, "the network", "outputs", outputs, expected)
    # Of the stored outputs: where two choices are as good, rounding must not decide.
    moves = policy.moves_of(expected.astype(np.float32))
    _check_close(path, "the head", "moves", moves, _array(path, golden, "moves", moves.shape))
    if policy.familiarity is not None:
        found = policy.familiarity.distance(observations)
        distances = _array(path, golden, "distances", found.shape)
        _check_close(path, "familiarity", "distances", found, distances)


def _array(
    path: Path, golden: Mapping[str, Any], key: str, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    try:
        array = np.array(entry(path, golden, key, list), dtype=np.float64)
    except (TypeError, ValueError) as error:
        if isinstance(error, PolicyFileError):
            raise
        raise PolicyFileError(f"{path}: 'golden': {error}. {FIX}") from error
    if array.shape != shape:
        refuse(path, f"'golden' {key} must have shape {shape}", array.shape)
    if not (np.abs(array) <= np.finfo(np.float32).max).all():
        refuse(path, f"'golden' {key} must be numbers that float32 holds", array.ravel()[:3])
    return array


def _check_close(
    path: Path, part: str, key: str, found: NDArray[Any], expected: NDArray[np.float64]
) -> None:
    error = float(np.abs(found - expected).max(initial=0.0))
    tolerance = _GOLDEN_TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0.0)))
    if not error <= tolerance:
        rule = f"{part} must reproduce the golden {key} within {tolerance:g}"
        refuse(path, rule, f"a difference of {error:g}")


def outputs_in_turn(policy: Policy, observations: NDArray[np.float32]) -> NDArray[np.float64]:
    """Run the network on observations `[T, D]`: with a memory, as one run sees them in turn."""
    if policy.memory is None:
        return policy.outputs(observations)
    state, outputs = policy.start(1), []
    for row in observations:
        found, state = policy.outputs_after(row[None], state)
        outputs.append(found[0])
    return np.stack(outputs)
