"""What DQN of Stable-Baselines3 has where nobody says otherwise; `native/q_learning.hpp` agrees."""

from __future__ import annotations

LEARNING_STARTS = 100
"""Steps before anything is learned, all environments together, by actions at random."""

TRAIN_FREQ = 4
"""Steps of each environment from update to update; an update is one gradient step."""

EXPLORATION_SHARE = 0.1
"""Share of the run in which the odds of an action at random fall from the first to the last."""
FIRST_EXPLORATION, LAST_EXPLORATION = 1.0, 0.05

MOST_KEPT = 20_000
"""Steps that a lane's replay buffer holds at most. Stable-Baselines3's holds a million, and so all
of a short run."""


def exploration(share: float) -> float:
    """Return by what odds an action is drawn at random once a share of the run is done.

    Example:
        >>> [round(exploration(share), 3) for share in (0.0, 0.05, 0.5)]
        [1.0, 0.525, 0.05]
    """
    if share > EXPLORATION_SHARE:
        return LAST_EXPLORATION
    return FIRST_EXPLORATION + share * (LAST_EXPLORATION - FIRST_EXPLORATION) / EXPLORATION_SHARE
