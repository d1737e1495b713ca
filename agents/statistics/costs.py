"""What results cost: inner updates, seconds, and the share of an opponent's own decisions."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Mean cost of one result of an opponent.

    Args:
        opponent: Its name.
        num_updates: Inner updates of all trials.
        train_seconds: Wall-clock in training and validation, a share of what ran together.
        overhead_seconds: Wall-clock in the opponent's own decisions.
    """

    opponent: str
    num_updates: float
    train_seconds: float
    overhead_seconds: float

    @property
    def overhead_share(self) -> float:
        """Share of the wall-clock that goes into decisions, 0 to 1."""
        total = self.train_seconds + self.overhead_seconds
        return self.overhead_seconds / total if total > 0.0 else 0.0


def mean_costs(frame: pd.DataFrame) -> list[Cost]:
    """Average costs over all rows of each opponent, the fewest updates first, then by seconds."""
    columns = ["num_updates", "train_seconds", "overhead_seconds"]
    means = frame.groupby("opponent")[columns].mean()
    rows = zip(means.index, means.to_numpy(), strict=True)
    costs = [
        Cost(
            opponent=str(name),
            num_updates=float(updates),
            train_seconds=float(train),
            overhead_seconds=float(overhead),
        )
        for name, (updates, train, overhead) in rows
    ]
    return sorted(costs, key=lambda c: (c.num_updates, c.train_seconds + c.overhead_seconds))
