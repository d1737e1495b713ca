"""What the best and the random policy get in each environment, and the regret that follows.

The table is made by `tools/returns_of_environments.py`, by runs under settings that were searched
for, or exactly where there is a solution; it stands beside this file as data. It makes the reward
in meta-training and the figures of results. No user's run knows it, and nothing that is observed is
made of it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

REGRET_FLOOR = 0.05
"""Added to every regret: differences near the best matter less than the noise of a few episodes."""

_MOST = 1.2  # worse than random is no worse than this
_FILE = Path(__file__).with_name("returns.json")


class Known(NamedTuple):
    """Mean returns of an episode."""

    best: float
    random: float


@cache
def table() -> dict[tuple[str, str], Known]:
    """Return what is known of each type and physics."""
    read = json.loads(_FILE.read_text())
    return {
        (name, physics): Known(row["best"], row["random"])
        for name, rows in read.items()
        for physics, row in rows.items()
    }


def share(name: str, physics: str, mean_return: float) -> float:
    """Return where a mean return lies between random (0) and best (1); not bounded."""
    known = table()[name, physics]
    return (mean_return - known.random) / (known.best - known.random)


def regret(name: str, physics: str, mean_return: float) -> float:
    """Return what is missing to the best, as a share, with the floor added.

    Args:
        name: Of the type.
        physics: Of the physics.
        mean_return: Of some episodes.

    Returns:
        In `[REGRET_FLOOR, REGRET_FLOOR + 1.2]`.
    """
    missing = 1.0 - share(name, physics, mean_return)
    return REGRET_FLOOR + min(max(missing, 0.0), _MOST)
