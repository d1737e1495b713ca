"""What the rollouts of an interval say, and its row of `columns`.

Axes: `C` columns.
"""

from __future__ import annotations

import math

import numpy as np

from hpo_env.tasks.reinforcement.columns import COLUMNS
from hpo_env.tasks.reinforcement.environments.base import Floats
from hpo_env.tasks.reinforcement.learning import Progress


class Tally:
    """Episodes that ended, and rewards of all steps."""

    def __init__(self) -> None:
        self.returns: list[float] = []
        self.lengths: list[float] = []
        self.num_cut = 0
        self.rewards: list[float] = []

    def add_episode(self, total: float, length: float, *, was_cut: bool) -> None:
        """Note an episode: its return, its steps, and whether the time limit ended it."""
        self.returns.append(float(total))
        self.lengths.append(float(length))
        self.num_cut += was_cut

    def add_rewards(self, rewards: Floats) -> None:
        """Note the rewards of a step, as the learner got them."""
        self.rewards += rewards.astype(np.float64).tolist()


def report(tally: Tally, progress: Progress) -> list[float]:
    """Return the row of an interval `[C]`; NaN for what there is not."""
    row = dict.fromkeys(COLUMNS, math.nan)
    count = len(tally.returns)
    row["num_episodes"] = float(count)
    if count:
        row["episode_return"] = float(np.mean(tally.returns))
        row["episode_length"] = float(np.mean(tally.lengths))
        row["truncated_share"] = tally.num_cut / count
    if count > 1:
        row["episode_return_spread"] = float(np.std(tally.returns, ddof=1))
    row["reward_mean"] = float(np.mean(tally.rewards))
    row["reward_spread"] = float(np.std(tally.rewards))
    if progress.num_updates:
        row |= {name: total / progress.num_updates for name, total in progress.sums.items()}
        row |= dict.fromkeys(progress.lacking, math.nan)
        row["gradient_norm"] = float(np.mean(progress.norms))
        row["clipped_share"] = progress.over_limit / len(progress.norms)
        row["gradient_norm_first"], row["gradient_norm_last"] = (
            progress.norms[0],
            progress.norms[-1],
        )
    return [row[name] for name in COLUMNS]


def way(start: Floats, middle: Floats | None, end: Floats) -> tuple[float, float]:
    """Return how far the weights went, and the cosine between the halves of their way.

    Args:
        start: Weights at the interval's start.
        middle: After its first half of updates; None where there is but one.
        end: At its end.
    """
    begun = start.astype(np.float64)
    whole = end - begun
    ratio = float(np.sqrt(np.sum(whole**2) / np.sum(begun**2)))
    if middle is None:
        return ratio, math.nan
    first, second = middle - begun, end.astype(np.float64) - middle
    length = math.sqrt(np.sum(first**2) * np.sum(second**2))
    return ratio, float(np.sum(first * second) / length) if length > 0.0 else math.nan
